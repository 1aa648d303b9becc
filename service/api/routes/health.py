"""Routes of health: whether the process answers, and whether it can work."""

from __future__ import annotations

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

import service
from service.api import examples, responses
from service.api.readiness import OK, Readiness
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency

ReadinessDependency = NamedDependency[SkipValidation[Readiness]]


@get(
    "/health",
    **route(
        "public",
        "Service",
        "Check liveness",
        "Answers while the process runs. Checks nothing else.",
        ResponseDoc(
            text="The service is alive.", kind=responses.Health, example={"status": "healthy", "version": "0.1.0"}
        ),
    ),
)
async def health() -> responses.Health:
    return responses.Health(status="healthy", version=service.__version__)


@get(
    "/health/ready",
    **route(
        "public",
        "Service",
        "Check readiness",
        "Checks the catalog, the disk, the process that workers are forked from and the stored data, and names what "
        "confines query workers. With an object store it asks that, too; where several processes serve the "
        "installation, the lease of this one must hold. Answers 503 with the same body if a check fails; its text says "
        "what is wrong.",
        ResponseDoc(text="The service is ready.", kind=responses.Readiness, example=examples.READINESS),
        ResponseDoc(
            status=503,
            text="The service is not ready.",
            kind=responses.Readiness,
            headers={"Retry-After": "Seconds to wait."},
            example={
                **examples.READINESS,
                "status": "not ready",
                "checks": {"catalog": "ok", "disk": "full: …", "workers": "ok"},
            },
        ),
    ),
)
async def ready(services: ServicesDependency, readiness: ReadinessDependency) -> Response[responses.Readiness]:
    checks = await readiness.checks()
    good = all(state == OK for state in checks.values())
    value = responses.Readiness(
        status="ready" if good else "not ready",
        version=service.__version__,
        checks=checks,
        sandbox=services.sandbox,
    )
    return Response(value, status_code=200 if good else 503)


HANDLERS = [health, ready]
