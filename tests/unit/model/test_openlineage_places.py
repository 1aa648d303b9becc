"""How OpenLineage names the sources of a run."""

from __future__ import annotations

import pytest

from service.model import openlineage


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://bucket/in/*.csv", ("s3://bucket", "in/*.csv")),
        ("gs://bucket/in/a?.csv", ("gs://bucket", "in/a?.csv")),
        ("file:///srv/a.csv", ("file", "/srv/a.csv")),
        ("https://user@host.example/a?b=c", ("https://host.example", "/a")),
        ("orders", ("csv", "orders")),
    ],
)
def test_a_source_has_a_namespace_and_a_name(address: str, place: tuple[str, str]) -> None:
    assert openlineage.place(address, "csv") == place
