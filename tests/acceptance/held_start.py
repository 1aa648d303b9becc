"""``python -m tests.acceptance.held_start serve …``: a service that loads itself when its standard input ends."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from service import bootstrap

if __name__ == "__main__":
    real = bootstrap.serve

    async def held(*given: Any, **named: Any) -> None:
        await asyncio.to_thread(sys.stdin.read)
        await real(*given, **named)

    setattr(bootstrap, "serve", held)  # noqa: B010 - mypy knows a function
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
