"""What every test may ask for: a clock that stands still and the registry; and which tests are the fast ring.

Helpers are modules beside the tests that are not themselves tests (``tests.registry``, ``tests.unit.network.site``).
The fast ring, ``-m fast``, is chosen by rule: unit and contract tests of modules that start neither a process nor a
server and import neither DuckDB nor a statistics library, except those of ``HEAVY``. ``.ci/fast`` runs it.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

# Helper modules assert, too, and show the values as tests do.
pytest.register_assert_rewrite("tests.acceptance", "tests.api", "tests.unit", "tests.registry")

from hypothesis import settings  # noqa: E402 - the rewriting comes first

from service.kit.clock import FixedClock  # noqa: E402
from service.model.registry import Registry  # noqa: E402
from tests import examples, stores  # noqa: E402
from tests.arrangement import side_by_side  # noqa: E402
from tests.registry import REGISTRY  # noqa: E402

if TYPE_CHECKING:
    from service.catalog.store import Store
    from tests.postgresql import Cluster

ROOT = Path(__file__).parent
FAST_ROOMS = (ROOT / "unit", ROOT / "contract")
NOT_FAST = re.compile(
    r"^\s*(from|import) (subprocess|multiprocessing|socket|litestar|duckdb|sklearn|statsmodels|service\.processes|"
    r"tests\.(acceptance|api|unit\.(processes|sandbox|probing\.probes|processors\.tables)))\b|"
    r"_source import|_runs import|\bserving\b|create_subprocess",
    re.MULTILINE,
)
# Long by what they do: loads of native tables, drawn pages, password hashes, megabytes, every step over every kind.
HEAVY = {
    "catalog/test_users.py", "collectors/csv_file/test_extremes.py", "collectors/records/test_spool.py",
    "collectors/test_csv.py", "engine/test_polars_frame.py", "engine/test_row_local.py",
    "engine/test_row_sql.py", "jobs/test_replay.py", "kit/test_codes.py", "kit/test_passwords.py",
    "network/test_compression.py", "runs/test_task_runner.py", "runs/test_versions.py",
    "cli/test_demo_site.py", "network/test_pacing.py", "processors/cleaning/test_types.py",
    "processors/test_order.py", "processors/test_awkward_values.py", "processors/test_sql.py",
    "query/child/test_encode.py",
    "reports/test_profile.py", "runs/test_recovery.py",
    "sandbox/test_confinement.py", "storages/test_duckdb.py", "test_constraints.py",
    "test_docstring_names.py",
}  # fmt: skip

settings.load_profile(examples.DEFAULT_PROFILE)


@functools.cache
def _is_fast(path: Path) -> bool:
    """Whether the tests of this module belong to the fast ring."""
    if not any(room in path.parents for room in FAST_ROOMS) or any(path.match(f"unit/{name}") for name in HEAVY):
        return False
    return not NOT_FAST.search(path.read_text(encoding="utf-8"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module that the fast ring does not run; importing all of them takes longer than running it."""
    if config.option.markexpr == "fast" and collection_path.name.startswith("test_"):
        return not _is_fast(collection_path)
    return None


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One test process a core; this process alone for the fast ring and for single modules, which end sooner so."""
    modules = [word for word in config.args if Path(word.partition("::")[0]).is_file()]
    alone = config.option.markexpr == "fast" or (len(modules) == len(config.args) and len(modules) < 3)
    return 0 if alone else len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast ring, and arrange the modules."""
    items[:] = side_by_side(items)
    for item in items:
        if _is_fast(item.path) and not any(item.get_closest_marker(name) for name in ("slow", "services", "browser")):
            item.add_marker("fast")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Commands that a test calls silence the log of their process, which is that of other tests, too."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands still until the test advances it."""
    return FixedClock()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The built-in plug-ins and those of the sample package."""
    return REGISTRY


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server, for tests that are marked ``services``."""
    from tests import postgresql

    with postgresql.running() as found:
        yield found


@pytest.fixture
def catalog_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """What catalogs of the test are stored in (``tests.stores``)."""
    if request.param == "duckdb":
        yield "duckdb"
        return
    from service.catalog.postgresql.server import Server
    from service.catalog.postgresql.store import PostgreSQLStore

    cluster: Cluster = request.getfixturevalue("cluster")
    with ExitStack() as databases:

        def make() -> Store:
            return PostgreSQLStore(Server(databases.enter_context(cluster.database())))

        with stores.made_by(make):
            yield "postgresql"
