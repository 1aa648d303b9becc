"""A configuration as it may be shown: literal passwords and tokens masked, ``${NAME}`` left as written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from service.steps import secrets

_SECRET_KEY = re.compile(
    r"(?i)(password|passwd|secret|token|api[-_]?key|authorization|credential|private[-_]?key|cookie)"
)
_NOT_SECRET = re.compile(r"(?i)^(token_url|in|name|header|type)$")


def masked(value: Any, *, secret: bool = False) -> Any:
    """``value`` with every string under a key that names a secret replaced by ``***``."""
    if isinstance(value, Mapping):
        return {
            k: masked(v, secret=(secret or bool(_SECRET_KEY.search(str(k)))) and not _NOT_SECRET.match(str(k)))
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [masked(v, secret=secret) for v in value]
    if secret and isinstance(value, str) and not secrets.names(value):
        return secrets.MASK
    return value
