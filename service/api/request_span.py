"""The span of a request, as OpenTelemetry's conventions for HTTP servers name things."""

from __future__ import annotations

from litestar.types import Scope

from service.telemetry.tracing import Attributes, OpenSpan


def end(span: OpenSpan, scope: Scope, method: str, status: int, request_id: str) -> None:
    """Record a request that was answered. One without a route is named by its method alone."""
    route = scope.get("path_template")
    attributes: Attributes = {
        "http.request.method": method, "http.response.status_code": status, "url.scheme": scope["scheme"],
        "penstock.request_id": request_id,
    }  # fmt: skip
    if route:
        attributes["http.route"] = route
    span.end(f"{method} {route}" if route else method, "server", attributes, str(status) if status >= 500 else None)
