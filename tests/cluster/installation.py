"""One installation: PostgreSQL and an S3-compatible store, API processes and workers, a source, and proxies between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests import object_stores, postgresql
from tests.acceptance.served import PASSWORD
from tests.cluster.members import Callers, Member
from tests.cluster.source import NumberedSource, numbered_source
from tests.cluster.tcp_proxy import Proxies, TcpProxy

_SERVE = ("serve", "--port", "0")
_WORK = ("worker", "--concurrency", "1", "--health-port", "0")


@dataclass(frozen=True)
class Size:
    """How many processes there are, and after how many seconds their leases run out."""

    apis: int
    workers: int
    lease: float


@dataclass(frozen=True)
class Installation:
    """What is at work. ``url`` is the database without a proxy, ``to_store`` the way to the object store."""

    size: Size
    cluster: postgresql.Cluster
    url: str
    store: object_stores.S3
    to_store: TcpProxy
    apis: list[Member]
    workers: list[Member]
    callers: Callers
    source: NumberedSource

    @property
    def members(self) -> list[Member]:
        return [*self.apis, *self.workers]


@contextlib.contextmanager
def installation(folder: Path, size: Size, slowest: float) -> Iterator[Installation]:
    """An installation whose processes are ready, with one user. What they log stays in ``folder``."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(postgresql.running())
        url = stack.enter_context(cluster.database())
        store = stack.enter_context(object_stores.s3())
        source = stack.enter_context(numbered_source(slowest))
        proxies = stack.enter_context(Proxies().at_work())
        to_store = proxies.to(store.port)

        def member(name: str, command: Sequence[str], **more: str) -> Member:
            catalog = proxies.to(cluster.port)
            environment = {
                **object_stores.environment(to_store.port),
                "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_CATALOG_URL": _through(url, catalog),
                "PENSTOCK_WAREHOUSE_URL": f"s3://{object_stores.BUCKET}/versions",
                "PENSTOCK_WAREHOUSE_TIMEOUT_SECONDS": "20", "PENSTOCK_LEASE_SECONDS": f"{size.lease:g}",
                "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_RATE_LIMIT_PER_MINUTE": "1000000",
                "PENSTOCK_MAX_CONCURRENT_QUERIES": "2", "PENSTOCK_RUN_MEMORY_LIMIT": "512MiB", **more,
            }  # fmt: skip
            return Member(folder, name, command, environment, catalog)

        apis = [member(f"api{n}", _SERVE, PENSTOCK_MAX_CONCURRENT_RUNS="0") for n in range(size.apis)]
        workers = [member(f"worker{n}", _WORK) for n in range(size.workers)]
        callers = stack.enter_context(contextlib.closing(Callers(apis)))
        found = Installation(size, cluster, url, store, to_store, apis, workers, callers, source)
        for one in found.members:
            one.spawn()
            stack.callback(one.kill)
        for one in found.members:
            one.ready()
        login = {"username": "admin", "password": PASSWORD}
        callers.token = callers.ask(apis[0], "POST", "/auth/token", json=login).json()["access_token"]
        yield found


def _through(url: str, proxy: TcpProxy) -> str:
    """The URL of a database through a proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}"))
