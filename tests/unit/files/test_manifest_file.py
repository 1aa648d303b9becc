"""The checksum in a manifest: each flipped bit of the file is noticed."""

from __future__ import annotations

import pytest

from service.files import manifest_file
from service.files.manifest_file import DamagedManifest

CONTENT = {"pipeline": "shop", "rows": 3, "files": [{"name": "p", "sha256": "0" * 64}], "fitted": {"mean": 1.5e300}}


def test_the_content_comes_back() -> None:
    data = manifest_file.encode(CONTENT)
    assert manifest_file.decode(data) == CONTENT
    assert manifest_file.encode(manifest_file.decode(data)) == data


@pytest.mark.parametrize("bit", range(8))
def test_each_flipped_bit_is_noticed(bit: int) -> None:
    data = manifest_file.encode(CONTENT)
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        with pytest.raises(DamagedManifest):
            manifest_file.check(bytes(flipped))


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b'{"format": 2}', b'{\n  "sha256": "'])
def test_what_is_cut_short_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedManifest):
        manifest_file.check(data)
    whole = manifest_file.encode(CONTENT)
    with pytest.raises(DamagedManifest):
        manifest_file.check(whole[:-1])


@pytest.mark.parametrize("data", [b'{"format":1,"rows":3}', b'{\n  "format": 1,\n  "rows": 3\n}'])
def test_manifests_of_older_releases_have_no_checksum(data: bytes) -> None:
    assert manifest_file.decode(data) == {"rows": 3}
