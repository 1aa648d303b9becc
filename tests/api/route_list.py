"""The routes of the application, with method, path and role."""

from __future__ import annotations

from collections.abc import Iterator

from litestar import Litestar
from litestar.routes import HTTPRoute


def routes(app: Litestar) -> Iterator[tuple[str, str, str]]:
    """Method, path with parameters filled, and role of every route."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    yield str(method), route.path_format, handler.opt.get("role", "viewer")
