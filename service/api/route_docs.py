"""Documentation of a route beside its handler: role, texts, query, body, answers, errors, examples.

``api.openapi`` makes the document from it; a test fails for a route without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypedDict

import msgspec

from service.api import idempotency, query_string
from service.api.audit_actions import Action
from service.api.login import PUBLIC
from service.kit.codes import Code
from service.model.user import Role

JSON = "application/json"

Tag = Literal["Pipelines", "Results", "Runs", "SQL", "Files", "Authentication", "Service"]


class RequestBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request body. ``kind`` None: bytes; ``pipeline``: a pipeline configuration."""

    kind: Any = None
    example: Any = None
    media: tuple[str, ...] = (JSON,)
    pipeline: bool = False
    required: bool = True


class ResponseDoc(msgspec.Struct, frozen=True, kw_only=True):
    """A successful response. ``kind`` None: bytes or text; ``headers`` maps names to descriptions."""

    status: int = 200
    text: str
    kind: Any = None
    example: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: dict[str, str] = {}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What the OpenAPI document says about a route, beyond its path."""

    answers: Sequence[ResponseDoc]
    errors: Sequence[Code]
    query: type[msgspec.Struct]
    body: RequestBody | None
    headers: dict[str, str]
    idempotent: bool = False

    def __deepcopy__(self, _: dict[int, Any]) -> Description:
        """Litestar copies a handler's options for each layer; this value never changes."""
        return self


class Options(TypedDict):
    """The keyword arguments of a Litestar route decorator."""

    summary: str
    description: str
    tags: list[str]
    status_code: int
    before_request: Callable[[Any], Awaitable[Any]] | None
    opt: dict[str, Any]


def route(
    role: Role | Literal["public"],
    tag: Tag,
    summary: str,
    description: str,
    *answers: ResponseDoc,
    errors: Sequence[Code] = (),
    query: type[msgspec.Struct] = query_string.NoParameters,
    body: RequestBody | None = None,
    headers: dict[str, str] | None = None,
    idempotent: bool = False,
    action: Action | None = None,
    filters_rows: bool = False,
) -> Options:
    """The options of a route: the role that it needs, what the audit log calls it, and its documentation.

    ``filters_rows``: it holds to the row filters of API keys (``filtered_keys``). With ``idempotent`` it takes an
    ``Idempotency-Key``; its handler commits ``idempotency.claimed`` with its work.
    """
    needed = "Needs no login." if role == PUBLIC else f"Needs the role {role}."
    documentation = Description(
        answers=answers, errors=tuple(errors), query=query, body=body, headers=headers or {}, idempotent=idempotent
    )
    return Options(
        summary=summary,
        description=f"{description}\n\n{needed}",
        tags=[tag],
        status_code=answers[0].status,
        before_request=idempotency.claim if idempotent else None,
        opt={"role": role, "description": documentation, "action": action, "filters_rows": filters_rows},
    )
