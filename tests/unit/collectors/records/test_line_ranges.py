"""Ranges of lines: their batches are those of the whole file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.records import line_ranges


@given(
    lines=st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), max_size=30),
    size=st.integers(1, 12), batches=st.integers(1, 3), ended=st.booleans(), mark=st.booleans(),
)  # fmt: skip
def test_batches_of_ranges_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, batches: int, ended: bool, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.json"
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + b"\n".join(lines) + (b"\n" if ended else b""))
    with pytest.MonkeyPatch.context() as patched, path.open("rb") as file:
        patched.setattr(line_ranges, "BATCH_BYTES", max(size, 4))
        patched.setattr(line_ranges, "BATCHES", batches)
        whole = [batch for batch in line_ranges.batches(file) if batch[1] != [b""]]
        ranges = line_ranges.divided(path)
        found = [batch for lines in ranges for batch in line_ranges.batches(file, lines) if batch[1] != [b""]]
    assert found == whole
    assert [one.begin for one in ranges[1:]] == [one.end for one in ranges[:-1]]
