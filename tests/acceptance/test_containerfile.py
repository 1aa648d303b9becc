"""The container file without a container engine: what it says, and its own commands in a clean environment.

Stages become virtual environments, ``/src``, ``/wheels`` and ``/data`` become folders, the port a free one. What
is left of a command is run as it is written in the file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import documents, service

TARGETS = documents.targets(documents.ROOT / "Containerfile")
BUILD, IMAGES = TARGETS["build"], {name: TARGETS[name] for name in ("server", "worker", "executor")}
IGNORED = (documents.ROOT / ".containerignore").read_text().splitlines()


def _one(stage: list[documents.Instruction], name: str) -> documents.Instruction:
    (found,) = [instruction for instruction in stage if instruction.name == name]
    return found


def _pip(stage: list[documents.Instruction]) -> list[str]:
    """The last command of pip."""
    return [i.words for i in stage if i.name == "RUN" and " -m pip " in i.text][-1]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_as_a_user_without_rights(name: str) -> None:
    image = IMAGES[name]
    names = [instruction.name for instruction in image]
    user, _, group = _one(image, "USER").text.partition(":")
    assert int(user) > 0 < int(group), "numbers, so that Kubernetes sees that it is not root"
    assert names.index("USER") < names.index("ENTRYPOINT")
    (made,) = [i.text for i in image if i.name == "RUN" and "useradd" in i.words]
    assert f"--uid {user} --gid {group}" in made


@pytest.mark.parametrize("name", IMAGES)
def test_the_data_directory_is_a_volume_of_that_user(name: str) -> None:
    volume = _one(IMAGES[name], "VOLUME").text
    assert any(i.name == "RUN" and "install" in i.words and volume in i.words for i in IMAGES[name])
    command = _one(IMAGES[name], "CMD").words
    assert name == "executor" or command[command.index("--data-dir") + 1] == volume


@pytest.mark.parametrize(("name", "option"), [("server", "--port"), ("worker", "--health-port")])
def test_all_places_name_the_same_port(name: str, option: str) -> None:
    port = _one(IMAGES[name], "EXPOSE").text
    command = _one(IMAGES[name], "CMD").words
    assert command[command.index(option) + 1] == port
    assert f":{port}/health'" in _one(IMAGES[name], "HEALTHCHECK").text


def test_an_image_without_a_target_is_the_server() -> None:
    assert list(TARGETS)[-1] == "server"


def test_executors_have_the_python_and_the_packages_of_the_server() -> None:
    bases = {stage[0].text.split()[0] for stage in TARGETS.values() if stage[0].text.startswith("python:")}
    assert len(bases) == 1
    assert {stage[0].text.split()[0] for stage in IMAGES.values()} == bases
    (client,) = re.findall(r'"pyspark-client==([\d.]+)"', (documents.ROOT / "pyproject.toml").read_text())
    for words in (_pip(TARGETS["build-executor"]), _pip(IMAGES["executor"])):
        assert f"pyspark[connect]=={client}" in words  # the client is a part of it
    assert not any("spark]" in word and word.startswith("penstock") for word in _pip(IMAGES["executor"]))


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    sources = [word for i in BUILD if i.name == "COPY" for word in i.words[:-1]]
    assert [source for source in sources if not (documents.ROOT / source).exists()] == []
    assert [source for source in sources if f"!{source}" not in IGNORED] == []


def _copied(target: Path) -> Path:
    """The build stage's ``/src``."""
    for instruction in BUILD:
        if instruction.name == "COPY":
            *sources, place = instruction.words
            for source in sources:
                origin = documents.ROOT / source
                goal = target / (f"{place}{origin.name}" if place.endswith("/") else place)
                goal.parent.mkdir(parents=True, exist_ok=True)
                if origin.is_dir():
                    shutil.copytree(origin, goal, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(origin, goal)
    return target


def _environment(folder: Path, like: Path | None = None) -> Path:
    """A virtual environment with nothing but pip, which it has from another one where there is such."""
    more = [] if like is None else ["--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *more, folder], check=True)
    if like is not None:  # half the time of an environment goes into its pip
        (origin,) = (like.parent / "lib").glob("python*/site-packages")
        shutil.copytree(origin, folder / origin.relative_to(like.parent), dirs_exist_ok=True)
    return folder / "bin"


def _runner(replaced: dict[str, str]) -> Callable[[Path, list[str]], list[str]]:
    """How a command of the file is made to fit: programs from a ``bin``, and ``replaced`` texts."""

    def fitted(programs: Path, words: list[str]) -> list[str]:
        for old, new in replaced.items():
            words = [word.replace(old, new) for word in words]
        # The download cache of whoever runs the tests spares the network; an image has no use for it.
        words = [word for word in words if word != "--no-cache-dir"]
        return [str(programs / words[0]), *words[1:]]

    return fitted


@pytest.mark.slow
def test_the_commands_work_in_a_clean_environment(tmp_path: Path) -> None:
    port, data = str(service.free_port()), tmp_path / "data"
    data.mkdir()
    wheels = tmp_path / "wheels"
    replaced = {"/wheels": str(wheels), "/data": str(data), "8000": port, "0.0.0.0": "127.0.0.1"}
    fit = _runner(replaced)
    # What is never imported here need not be compiled either.
    env = service.clean_environment(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_COMPILE="1")

    builder = _environment(tmp_path / "build")
    runtime = _environment(tmp_path / "runtime", like=builder)
    subprocess.run(fit(builder, _pip(BUILD)), cwd=_copied(tmp_path / "src"), env=env, check=True, capture_output=True)
    subprocess.run(fit(runtime, _pip(IMAGES["server"])), cwd=data, env=env, check=True, capture_output=True)

    server = IMAGES["server"]
    command = fit(runtime, _one(server, "ENTRYPOINT").words + _one(server, "CMD").words)
    check = _one(server, "HEALTHCHECK").text.partition("CMD ")[2]
    with service.process(command, cwd=tmp_path, env=env) as child:
        service.until(fit(runtime, documents.Instruction("CMD", check).words), child, env=env)
        child.terminate()
        assert child.wait(20) == 0
    # The worker has the packages of the server. It has no installation here, so it names what it misses.
    words = fit(runtime, _one(IMAGES["worker"], "ENTRYPOINT").words + _one(IMAGES["worker"], "CMD").words)
    worker = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert worker.returncode != 0
    assert "PENSTOCK_CATALOG_URL" in worker.stderr
    # What an executor has besides Spark itself, which has hundreds of megabytes: tests of the engine start a real one.
    words = [word for word in _pip(IMAGES["executor"]) if not word.startswith("pyspark")]
    subprocess.run(fit(runtime, [*words, "--dry-run"]), cwd=data, env=env, check=True, capture_output=True)
