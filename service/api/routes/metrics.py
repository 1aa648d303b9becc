"""The route of the metrics, for Prometheus: open on loopback, with a token elsewhere."""

from __future__ import annotations

import ipaddress

from litestar import Response

from service.api import login, query_string
from service.api.middleware import address
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.telemetry import exposition

_FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
"""How headers of a proxy begin, whose own address is not that of the client."""


@get(
    "/metrics",
    **route(
        "public",
        "Service",
        "Read the metrics",
        "What the service counts about itself, as text for Prometheus: requests, limits that were hit, runs, queues, "
        "workers, queries, what is stored, the disk, schedules, the process. A request from the machine itself needs "
        "no token; one from elsewhere, or through a proxy, needs the token of any account.",
        ResponseDoc(
            text="The metrics.",
            media=(exposition.MEDIA_TYPE.partition(";")[0],),
            example='penstock_requests_total{method="GET",route="/health",status="200"} 12.0\n',
        ),
        errors=("UNAUTHORIZED",),
    ),
)
async def read_metrics(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query_string.read(request, query_string.NoParameters)
    if not _is_from_here(request):
        login.require(request.scope, "viewer")
    return Response(await exposition.of(services.metrics), media_type=exposition.MEDIA_TYPE)


def _is_from_here(request: TypedRequest) -> bool:
    """Whether a client on this machine asks, and not a proxy on it for somebody else."""
    if any(name.startswith(_FORWARDED) for name in request.headers):
        return False
    try:
        return ipaddress.ip_address(address(request.scope)).is_loopback
    except ValueError:
        return False


HANDLERS = [read_metrics]
