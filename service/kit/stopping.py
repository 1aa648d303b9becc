"""The wish to stop: the first signal asks a process to end, the second one to end at once."""

from __future__ import annotations

import asyncio
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Whether this process is to stop. Belongs to the event loop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    @classmethod
    def by_signals(cls) -> Stopping:
        """Asked for by SIGTERM and Ctrl-C from now on."""
        stopping = cls()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stopping.ask)
        return stopping

    def ask(self) -> None:
        """Ask to stop; again, to stop at once."""
        (self.at_once if self.asked.is_set() else self.asked).set()
