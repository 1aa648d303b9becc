"""The secret that signs access tokens, where several processes serve an installation and none is configured."""

from __future__ import annotations

from collections.abc import Callable

from service.catalog.store import Store

_NAME = "signing_secret"


def of(store: Store, own: Callable[[], str]) -> str:
    """The secret of all processes: that which is in the catalog, or ``own`` from now on. Blocks."""
    mine = own()
    return store.agreed(_NAME, mine) if store.shared else mine
