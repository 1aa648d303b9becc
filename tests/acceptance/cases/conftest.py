"""One service for all cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.cases.product import Product
from tests.acceptance.served import PASSWORD, serving


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A service that may ask loopback, and runs what a case gives it."""
    environment = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
        "PENSTOCK_SECRET_TOKEN": "open sesame",
    }
    with serving(tmp_path_factory.mktemp("cases") / "data", **environment) as served:
        served.login()
        yield Product(served)
