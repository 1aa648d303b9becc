"""Undoing compression: every form that servers send, and nothing without a bound."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.network import compression
from service.network.compression import BrokenEncoding, TooMuch, UnknownEncoding, bounded
from tests.examples import examples

MIB = 1024 * 1024


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def unpacked(data: bytes, encoding: str, limit: int = 64 * MIB, size: int = 65536) -> bytes:
    return asyncio.run(bounded(pieces(data, size), encoding, limit))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "": bytes, "identity": bytes
}  # fmt: skip


@examples(60)
@given(
    data=st.one_of(st.binary(max_size=300), st.integers(0, 2 * MIB + 300).map(lambda n: b"ab" * (n // 2))),
    name=st.sampled_from([*PACKERS, "bare"]),
    size=st.sampled_from([1, 7, 65536]),
)
def test_any_bytes_come_back_however_they_are_cut(data: bytes, name: str, size: int) -> None:
    packed = bare(data) if name == "bare" else PACKERS[name](data)
    assert unpacked(packed, "deflate" if name == "bare" else name, size=size) == data


def test_gzip_members_follow_one_another_with_padding() -> None:
    body = gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b" * 3_000_000) + b"\0" * 512
    for size in (1, 1000, 65536):
        assert unpacked(body, "GZIP ", size=size) == b"a" + b"b" * 3_000_000


def test_an_empty_answer_needs_no_encoding() -> None:
    assert unpacked(b"", "gzip") == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate,gzip", "klingon"])
def test_requirement_32_other_encodings_and_layers_are_refused(encoding: str) -> None:
    with pytest.raises(UnknownEncoding, match="only gzip and deflate, once"):
        unpacked(b"x", encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_damage_and_early_ends_are_found(encoding: str) -> None:
    packed = PACKERS[encoding](bytes(range(256)) * 100)
    for at in (1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BrokenEncoding, match="too early"):
            unpacked(packed[:at], encoding)
    with pytest.raises(BrokenEncoding, match="damaged"):
        unpacked(packed[:-1] + bytes([packed[-1] ^ 1]), encoding)
    with pytest.raises(BrokenEncoding):
        unpacked(b"not compressed at all", encoding)


def test_requirement_32_limits_hold_while_streaming() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65536
            yield bytes(65536)

    with pytest.raises(TooMuch, match="larger than 1000000"):
        asyncio.run(bounded(endless(), "", 1_000_000))
    assert taken <= 1_000_000 + 2 * 65536


def bomb(size: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    for _ in range(size // MIB):
        yield packer.compress(bytes(MIB))
    yield packer.flush()


def test_requirement_32_a_bomb_is_stopped_long_before_it_is_big() -> None:
    body = b"".join(bomb(256 * MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooMuch, match="times its size"):
        unpacked(body, "gzip", limit=512 * MIB)
    with pytest.raises(TooMuch, match="decompressed answer is larger than 5000000"):
        unpacked(body, "gzip", limit=5_000_000)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 100 * MIB


def test_pieces_are_bounded() -> None:
    inflater = compression.Inflater("gzip")
    piece, sizes = inflater.feed(b"".join(bomb(8 * MIB))), []
    while piece:
        sizes.append(len(piece))
        piece = inflater.more()
    inflater.finish()
    assert (max(sizes), sum(sizes)) == (MIB, 8 * MIB)
