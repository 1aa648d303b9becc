"""Arrow streams as messages: whatever parts they arrive in, and in smaller messages where they are large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pyarrow.ipc as ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import lib

from service.flight import arrow_stream
from service.flight.arrow_stream import Cut, Piece
from tests.examples import examples

new_stream: Any = ipc.new_stream  # pyarrow ships no types
ROWS = 3_000
TABLE = lib.table(
    {
        "id": list(range(ROWS)),
        "text": [None if i % 7 == 0 else "é" * (i % 50) for i in range(ROWS)],
        "kind": lib.array(["a", "b", None] * (ROWS // 3)).dictionary_encode(),
        "list": [[i] * (i % 4) for i in range(ROWS)],
    }
)


def stream(rows: int = 1_000) -> bytes:
    sink = lib.BufferOutputStream()
    with new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=rows)
    return bytes(sink.getvalue().to_pybytes())


def pieces(content: bytes, size: int) -> list[Piece]:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    async def read() -> list[Piece]:
        return [piece async for piece in arrow_stream.pieces(parts())]

    return asyncio.run(read())


@given(st.integers(min_value=1, max_value=200_000))
@examples(10)
def test_parts_of_every_size_are_the_same_messages(size: int) -> None:
    found = pieces(stream(), size)
    assert len(found) == 1 + 1 + 3  # schema, dictionary, three batches
    assert arrow_stream.table(found).equals(TABLE)


def test_the_answer_is_read_to_its_end() -> None:
    """An answer that is left before its end costs its connection, and the service a query worker."""
    ended = []

    async def parts() -> AsyncIterator[bytes]:
        yield stream()
        ended.append(True)

    async def read() -> None:
        async for _ in arrow_stream.pieces(parts()):
            assert not ended

    asyncio.run(read())
    assert ended


def test_a_table_as_messages() -> None:
    assert arrow_stream.table(arrow_stream.of_table(TABLE)).equals(TABLE)
    empty = TABLE.schema.empty_table()
    assert arrow_stream.table(arrow_stream.of_table(empty)).schema == TABLE.schema


def test_large_messages_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MOST_BYTES", 20_000)
    found = pieces(stream(ROWS), 100_000)
    assert max(len(piece.body) for piece in found) < 2 * 20_000
    assert len(found) > 5
    assert arrow_stream.table(found).equals(TABLE)


def test_dictionaries_that_change_are_those_of_their_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MOST_BYTES", 1_000)
    words = [
        lib.table({"w": lib.array([f"{place}-{i % 9}" for i in range(800)]).dictionary_encode()}) for place in "abc"
    ]
    sink = lib.BufferOutputStream()
    with new_stream(sink, words[0].schema) as writer:
        for word in words:
            writer.write_table(word)
    found = pieces(sink.getvalue().to_pybytes(), 4_096)
    assert len(found) > 10
    table = arrow_stream.table(found)
    assert table.column("w").to_pylist() == [text for word in words for text in word.column("w").to_pylist()]


def test_a_row_that_is_large_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MOST_BYTES", 1)
    found = pieces(stream(ROWS), 100_000)
    assert len(found) == 2 + ROWS
    assert arrow_stream.table(found).equals(TABLE)


@pytest.mark.parametrize("codec", ["lz4", "zstd", None])
def test_compressed_messages_are_known(codec: str | None) -> None:
    sink = lib.BufferOutputStream()
    with new_stream(sink, TABLE.schema, options=lib.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(TABLE)
    schema, *others = map(arrow_stream.is_compressed, pieces(sink.getvalue().to_pybytes(), 4_096))
    assert schema is False
    assert others == [codec is not None] * 2


@pytest.mark.parametrize("left", [0, 3, 8, 100, -9])
def test_a_stream_that_is_cut_is_an_error(left: int) -> None:
    with pytest.raises(Cut, match="ended early"):
        pieces(stream()[:left], 64)


def test_other_bytes_are_an_error() -> None:
    with pytest.raises(Cut, match="not a stream"):
        pieces(b'{"error": {"code": "INTERNAL_ERROR"}}', 64)
