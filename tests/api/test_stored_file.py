"""The bytes of a stored file, from the kernel's memory and from the disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from service.api import stored_file

CONTENT = os.urandom(3 * stored_file._PART_BYTES + 17)


def read(path: Path, first: int = 0, end: int = len(CONTENT)) -> bytes:
    async def whole() -> bytes:
        parts = stored_file._Bytes(path.open("rb", 0), first, end)
        try:
            return b"".join([part async for part in parts])
        finally:
            await parts.aclose()

    return asyncio.run(whole())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.mark.parametrize("span", [(0, len(CONTENT)), (5, 6), (stored_file._PART_BYTES - 1, len(CONTENT) - 9)])
@pytest.mark.parametrize("in_memory", ["all", "half", "nothing"])
def test_the_bytes_are_the_same(
    path: Path, in_memory: str, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, asked = os.preadv, []

    def preadv(handle: int, buffers: list[Any], offset: int, flags: int) -> int:
        asked.append(offset)
        if in_memory == "nothing" or (in_memory == "half" and len(asked) % 2):
            raise BlockingIOError
        return plain(handle, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert read(path, *span) == CONTENT[slice(*span)]
    assert asked


def test_a_file_that_became_shorter_is_an_error(path: Path) -> None:
    os.truncate(path, 10)
    with pytest.raises(EOFError):
        read(path)
