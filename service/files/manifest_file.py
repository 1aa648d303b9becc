"""The bytes of ``manifest.json`` of a version: JSON that begins with a checksum of the whole file.

So a flipped byte is noticed anywhere in it, also in what the catalog does not have. Manifests of format 1, which older
releases wrote, have no checksum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

_HEAD = b'{\n  "sha256": "'
_BLANK = b"0" * 64  # in place of the checksum while it is computed
_WITHOUT_CHECKSUM = re.compile(rb'\s*\{\s*"format"\s*:\s*1\s*,')


class DamagedManifest(ValueError):
    """A manifest has another checksum than when it was written."""


def encode(content: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest with this content."""
    fields = {"sha256": _BLANK.decode(), "format": 2, **content}
    blank = msgspec.json.format(msgspec.json.encode(fields), indent=2)
    return _HEAD + _digest(blank) + blank[len(_HEAD) + len(_BLANK) :]


def check(data: bytes) -> bytes:
    """The bytes of a manifest as they were written. Raises ``DamagedManifest``."""
    if _WITHOUT_CHECKSUM.match(data):
        return data
    place = len(_HEAD)
    if not data.startswith(_HEAD) or _digest(data) != data[place : place + len(_BLANK)]:
        raise DamagedManifest("it has another checksum than when it was written")
    return data


def decode(data: bytes) -> dict[str, Any]:
    """The content of a manifest, without checksum and format.

    Raises ``DamagedManifest``, ``msgspec.MsgspecError``, ``UnicodeDecodeError``.
    """
    content = msgspec.json.decode(check(data), type=dict[str, Any])
    return {name: value for name, value in content.items() if name not in ("sha256", "format")}


def _digest(data: bytes) -> bytes:
    digest = hashlib.sha256(_HEAD + _BLANK)
    digest.update(memoryview(data)[len(_HEAD) + len(_BLANK) :])
    return digest.hexdigest().encode()
