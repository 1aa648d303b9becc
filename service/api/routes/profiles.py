"""Routes of profiles: what the analyzers of a version found, as JSON or as a page."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from service.api import etags, examples, html_pages, query_string, responses, streaming
from service.api.path_lookup import find_version
from service.api.query_string import VersionChoice, about
from service.api.route_docs import JSON, ResponseDoc, route
from service.api.route_handler import get
from service.api.services import Services, ServicesDependency, TypedRequest
from service.api.version_cache import VersionCache
from service.jobs.tasks.task import ProfilePage
from service.model.version import Version

MOST_PAGES = 16
_SECONDS = 30.0

PagesDependency = NamedDependency[SkipValidation[VersionCache]]
"""The type of a handler's ``pages`` parameter."""


class ProfileQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which version, in which format."""

    version: VersionChoice | None = None
    format: Annotated[str, about("json or html; by default Accept decides.", examples=["html"])] | None = None


@get(
    "/pipeline/{name:str}/profile",
    **route(
        "viewer",
        "Results",
        "Read the profile",
        "Answers the profiles that the analyzers of a version made, each of the data at its place in the order. As "
        "HTML it is one page with charts that loads nothing else: to read, to print, to send.",
        ResponseDoc(
            text="The profiles.",
            kind=responses.Profiles,
            example=examples.PROFILES,
            media=(JSON, html_pages.HTML),
            headers=etags.RESPONSE_HEADERS,
        ),
        etags.NOT_MODIFIED,
        errors=("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "NOT_ACCEPTABLE", "OVERLOADED"),
        query=ProfileQuery,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_profile(
    request: TypedRequest, services: ServicesDependency, pages: PagesDependency, name: FromPath[str]
) -> Response[Any]:
    query = query_string.read(request, ProfileQuery)
    form = streaming.format_of(request, query.format, html_pages.KNOWN)
    version = await find_version(services, name, query.version)
    headers = {**etags.headers(etags.of(version, "profile", form)), **html_pages.VARY}
    if (unchanged := etags.not_modified(request, headers)) is not None:
        return unchanged
    if form == "json":
        profiles = responses.Profiles(pipeline=name, version=version.version, profiles=version.profiles)
        return Response(profiles, headers=headers)
    page = await pages.get(version.run_id, lambda: _render(services, version))
    return Response(page, media_type=html_pages.HTML, headers={**headers, **html_pages.POLICY})


async def _render(services: Services, version: Version) -> bytes:
    task = ProfilePage(
        pipeline=version.pipeline,
        version=version.version,
        created=f"{version.created:%Y-%m-%d %H:%M} UTC",
        profiles=version.profiles,
    )
    return await services.tasks.ask(task, seconds=_SECONDS)


HANDLERS = [read_profile]
