"""The socket of a running service in its data directory: who reaches it has the rights of an admin.

Its mode keeps other users out. Its random name keeps out the service's own children, which run as the same user:
Landlock lets them connect to a socket whose path they know, but not list the data directory. ``/proc/net/unix`` shows
the path that a socket was bound to, so it is bound to another name and then renamed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

_SOCKETS = "service-*.sock"
_BINDING = "binding.sock"
_SECONDS = 5.0


class ServiceSocket:
    """Where a service binds its socket in ``folder``, and the name that it gets then. ``close`` removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = _Short(folder)
        self._name = _SOCKETS.replace("*", secrets.token_hex(16))

    @property
    def binding(self) -> Path:
        """The path to bind to."""
        return self._folder.path / _BINDING

    def clear(self) -> None:
        """Remove the sockets of services that were killed; only the owner of the data directory's lock may."""
        for left in (*self._folder.path.glob(_SOCKETS), self.binding):
            left.unlink(missing_ok=True)

    def publish(self) -> None:
        """Give the bound socket its mode and its name."""
        self.binding.chmod(0o600)
        self.binding.rename(self._folder.path / self._name)

    def close(self) -> None:
        """Remove the socket."""
        with contextlib.suppress(OSError):
            (self._folder.path / self._name).unlink(missing_ok=True)
        self._folder.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Path | None]:
    """The socket of the service that runs on a data directory; None if none does. It can be connected to meanwhile."""
    try:
        short = _Short(folder)
    except OSError:
        yield None
        return
    try:
        yield next(filter(_answers, _sockets(short.path)), None)
    finally:
        short.close()


class _Short:
    """A short path to a folder: the path of a socket has at most 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path = Path(f"/proc/self/fd/{self._handle}")

    def close(self) -> None:
        os.close(self._handle)


def _sockets(folder: Path) -> list[Path]:
    try:
        return list(folder.glob(_SOCKETS))
    except OSError:
        return []


def _answers(path: Path) -> bool:
    """Whether a service accepts connections; the socket of one that was killed refuses them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
