"""Executors that cannot execute a run are refused when it begins, by what they lack. Each task gets a new Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.engine.spark.cluster import Cluster
from service.kit import errors
from tests import sail, spark_cluster

pytestmark = pytest.mark.services

# What the Python of an executor lacks or has, by the text of a file beside it.
ODD = """
import sys, pathlib
wanted = pathlib.Path(__file__).with_name("odd").read_text()
if wanted == "polars":
    import polars
    polars.__version__ = "1.0.0"
elif wanted:
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == wanted:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Finder())
"""


class Executors:
    """One server with executors of each kind."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url, self._folder = url, folder

    def become(self, kind: str) -> None:
        (self._folder / "odd").write_text(kind)


@pytest.fixture(scope="module")
def executors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executors]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "sitecustomize.py").write_text(ODD)
    (folder / "odd").write_text("")
    with spark_cluster.running(
        tmp_path_factory.mktemp("cluster"), workers=0, path=f"{folder}:{sail.ROOT}",
        conf={"spark.python.use.daemon": "false", "spark.python.worker.reuse": "false"},
    ) as found:  # fmt: skip
        yield Executors(folder, found.url)


def check(executors: Executors, folder: Path, run: str = "run_1") -> None:
    cluster = Cluster(executors.url, f"{run} {folder}", folder)
    try:
        cluster.check()
    finally:
        cluster.close()


def refusal(executors: Executors, folder: Path) -> str:
    with pytest.raises(errors.Permanent) as caught:
        check(executors, folder)
    assert "PENSTOCK_SPARK_URL" in caught.value.message
    return caught.value.message


def test_those_that_are_alike_are_accepted(executors: Executors, tmp_path: Path) -> None:
    executors.become("")
    check(executors, tmp_path)


def test_another_polars(executors: Executors, tmp_path: Path) -> None:
    executors.become("polars")
    assert "an executor has Polars 1.0.0, not " in refusal(executors, tmp_path)


@pytest.mark.parametrize("module", ["service", "cloudpickle"])
def test_no_penstock_or_not_all_that_it_needs(executors: Executors, tmp_path: Path, module: str) -> None:
    executors.become(module)
    assert f"do not have the Python module {module}; install penstock[executor]" in refusal(executors, tmp_path)


def test_another_python(executors: Executors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql.connect.expressions import PythonUDF

    executors.become("")
    begin = PythonUDF.__init__

    def of_another(self: Any, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        self._python_ver = "3.9"

    monkeypatch.setattr(PythonUDF, "__init__", of_another)
    assert ", not 3.9; install the same there" in refusal(executors, tmp_path)


def test_a_folder_that_they_do_not_share(executors: Executors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executors.become("")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)  # a path that each process understands in its own way
    assert "does not find /proc/self/cwd/run" in refusal(executors, Path("/proc/self/cwd/run"))
