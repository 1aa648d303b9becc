"""The decorators of routes. Their handlers are Litestar's, but for one thing that each request would pay for."""

from __future__ import annotations

import functools
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler


class RouteHandler(HTTPRouteHandler):
    """A handler whose guards get it as it is: ours change none, and Litestar would copy it for each request."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]


get = functools.partial(RouteHandler, http_method=HttpMethod.GET)
post = functools.partial(RouteHandler, http_method=HttpMethod.POST)
put = functools.partial(RouteHandler, http_method=HttpMethod.PUT)
patch = functools.partial(RouteHandler, http_method=HttpMethod.PATCH)
delete = functools.partial(RouteHandler, http_method=HttpMethod.DELETE)
