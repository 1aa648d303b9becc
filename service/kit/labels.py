"""Labels: what a run wants of the process that executes it (``gpu``), and which of it a process has."""

from __future__ import annotations

from typing import Annotated

import msgspec

Label = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}\Z",
        description="Lower-case letters, digits, ., - and _; starts with a letter or a digit; at most 63 characters.",
        examples=["gpu"],
    ),
]
