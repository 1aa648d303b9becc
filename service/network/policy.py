"""What the HTTP client reads from a step's context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.network.pacing import HostLimiters


@dataclass(frozen=True)
class Network:
    """Egress policy of a run.

    ``allowed_private_hosts`` may be called although their address is private: ``host``, ``host:port``, IP or CIDR.
    ``max_response_bytes`` bounds one decoded response body.
    """

    allowed_private_hosts: tuple[str, ...] = ()
    max_response_bytes: int = 256 * 1024 * 1024


class ClientContext(Protocol):
    """The five fields of a context that ``network.client.Client`` needs."""

    @property
    def step(self) -> str:
        """The step that errors and log lines name."""

    @property
    def network(self) -> Network:
        """The egress policy."""

    @property
    def limiters(self) -> HostLimiters:
        """The rate limits of all hosts."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Secret values that no message may show."""

    @property
    def log(self) -> Any:
        """A structlog logger."""
