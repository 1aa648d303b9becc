"""The probe knows how well-known APIs page: what it proposes collects every record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.collectors.known_sources import COUNT, KNOWN
from tests.unit.collectors.more_sources import MORE
from tests.unit.network.site import serving
from tests.unit.probing.probes import collected, looked


@pytest.mark.parametrize("name", [*KNOWN, *MORE])
def test_the_proposal_collects_everything(name: str, tmp_path: Path) -> None:
    known = {**KNOWN, **MORE}[name]
    with serving(known.answers()) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/v1/things", **known.request)
        assert found.pagination is not None
        assert (found.pagination.verified, found.requests <= 26) == (True, True)
        rows = collected(found.collector, tmp_path / "run")
    assert sorted(rows[known.id_column]) == list(range(1, COUNT + 1))
