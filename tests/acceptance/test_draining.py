"""A process that serves alone lets its runs end before it does, if it was told how long."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.gated_source import Source, a_source
from tests.acceptance.installation import create, execute
from tests.acceptance.served import PASSWORD, Served, serving


@pytest.fixture
def source() -> Iterator[Source]:
    with a_source() as found:
        found.open.clear()
        yield found


def stopped(served: Served, source: Source) -> list[str]:
    """The events of a service that is asked to stop during a run, whose source answers as soon as it drains."""
    served.login()
    create(served, "slow", source)
    execute(served, "slow")
    source.wait_for_a_request()
    served.process.send_signal(signal.SIGTERM)
    served.until_logged(lambda line: line["event"] in ("server.draining", "run.interrupted"))
    source.open.set()
    assert served.ended() == 0
    return [line["event"] for line in served.logged()]


@pytest.mark.parametrize(
    ("more", "published"), [({"PENSTOCK_DRAIN_SECONDS": "600"}, True), ({}, False)], ids=["told", "by default"]
)
def test_runs_end_before_the_service_if_it_may_wait(
    tmp_path: Path, source: Source, more: dict[str, str], published: bool
) -> None:
    environment = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", **more}
    with serving(tmp_path / "data", **environment) as served:
        events = stopped(served, source)
    assert ("run.published" in events, "run.interrupted" in events) == (published, not published)
