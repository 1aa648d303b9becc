"""The URL of an object store: ``s3://bucket/prefix``, ``gs://``, ``az://`` or ``file:///folder``."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEMES = ("s3", "gs", "az", "file")


def fault(url: str) -> str | None:
    """What is wrong with the URL of an object store; None if nothing is. It never repeats a part that may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a URL"
    if not url.startswith(tuple(f"{scheme}:/" for scheme in _SCHEMES)):  # as others read it: in small letters
        return f"does not begin with one of {', '.join(f'{s}://' for s in _SCHEMES)}"
    if url != url.rstrip() or not url.isprintable():
        return "has characters that cannot be seen"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return (
            "has more than scheme, bucket and prefix; credentials come from the environment or the platform, as the "
            "provider's own tools have them (AWS_ACCESS_KEY_ID, …)"
        )
    if parts.scheme == "file":
        return None if not parts.netloc and len(parts.path) > 1 else "is not a folder: write file:///path/to/folder"
    if not parts.netloc or ":" in parts.netloc:
        return (
            f"names no bucket: write {parts.scheme}://bucket/prefix; the address of a store is in the environment "
            "(AWS_ENDPOINT_URL, …)"
        )
    prefix = unquote(parts.path).removeprefix("/").removesuffix("/")
    if parts.path not in ("", "/") and {"", ".", ".."} & set(prefix.split("/")):
        return "has a prefix with a part that is empty, '.' or '..', which names another place than it says"
    return None


def folder_of(url: str) -> Path | None:
    """The folder that a ``file://`` URL names; None for another URL."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None


# names of objects, which configurations have: what follows the bucket is a key or a glob, and is never decoded

_BUCKETS = ("s3://", "gs://", "az://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def names_objects(name: str) -> bool:
    """Whether a name is that of objects in a bucket, and not of files."""
    return name.startswith(_BUCKETS)


def divided(name: str) -> tuple[str, str]:
    """The URL of the bucket in the name of an object, and the key."""
    scheme, _, rest = name.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def fault_of_name(name: str) -> str | None:
    """What is wrong with the name of objects, or a glob; None if nothing is. It repeats no part of the name."""
    if "${" in name:
        return (
            "has a secret in the address of an object; write the address itself: credentials come from the environment "
            "of the service"
        )
    bucket, key = divided(name)
    if not _BUCKET.fullmatch(bucket.partition("://")[2]):
        return f"names no bucket: write {bucket.partition('://')[0]}://bucket/path/to/*.csv, without credentials"
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        return "names no object: write its key after the bucket, without empty parts, '.' and '..'"
    return None


def is_below(name: str, root: str) -> bool:
    """Whether the object ``name`` is one of those whose keys begin with the folder ``root``, or is that object."""
    (bucket, key), (allowed, prefix) = divided(name), divided(root.rstrip("/"))
    return bucket == allowed and (not prefix or key == prefix or key.startswith(f"{prefix}/"))
