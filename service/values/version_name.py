"""How a version is named in configurations and requests: by its number, or by a tag."""

from __future__ import annotations

from typing import Annotated

import msgspec

TAG = r"^[a-z][a-z0-9_-]{0,62}\Z"
"""What a tag looks like; a number never does."""
VersionName = (
    Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    | Annotated[str, msgspec.Meta(pattern=TAG, description="A tag.", examples=["stable"])]
)
