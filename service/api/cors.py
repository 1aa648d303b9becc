"""Cross-origin requests (CORS): the preflights of browsers, and the headers with which a page may read an answer.

They belong to every answer, also to those that no route gives (429, 404, a refused query string), since a page cannot
read an error without them. Litestar's own adds them only to answers of routes, and refuses preflights as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.kit import errors

Headers = list[tuple[bytes, bytes]]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SIMPLE = ("accept", "accept-language", "content-language")
_SENT = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "If-Range", "Last-Event-ID",
    "Range", "X-Request-ID",
)  # fmt: skip
_SHOWN = (
    "Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed", "Link", "Location",
    "Penstock-Dropped", "Penstock-Version", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After",
    "X-Request-ID",
)  # fmt: skip
_SECONDS = 600  # how long a browser may remember a preflight


class Cors:
    """The origins that browsers may call from; ``*`` is every one."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, request: Mapping[bytes, bytes]) -> Headers:
        """The headers of an answer to a request with these headers; none for an origin that may not read it."""
        origin = request.get(b"origin")
        if origin is None or not self._allows(origin):
            return []
        allowed = b"*" if "*" in self._origins else origin
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", ", ".join(_SHOWN).encode()),
        ]

    @property
    def varies(self) -> bool:
        """Whether answers depend on the origin."""
        return bool(self._origins) and "*" not in self._origins

    def preflight(self, method: str, request: Mapping[bytes, bytes]) -> Headers | None:
        """The headers of the answer to a preflight; None for any other request.

        Raises ``errors.Invalid`` for an origin, a method or a header that is not allowed.
        """
        wanted = request.get(b"access-control-request-method")
        if not self._origins or method != "OPTIONS" or wanted is None or b"origin" not in request:
            return None
        if not self._allows(request[b"origin"]):
            raise errors.Invalid("PENSTOCK_CORS_ORIGINS does not name this origin", field="origin")
        if wanted.decode("latin-1") not in METHODS:
            raise errors.Invalid(
                f"no route has this method; one of {', '.join(METHODS)}", field="access-control-request-method"
            )
        known = {name.lower() for name in _SENT} | set(_SIMPLE)
        names = request.get(b"access-control-request-headers", b"").decode("latin-1").split(",")
        strange = [name.strip()[:80] for name in names if name.strip() and name.strip().lower() not in known]
        if strange:
            raise errors.Invalid(
                f"no route reads the header '{strange[0]}'; known: {', '.join(_SENT)}",
                field="access-control-request-headers",
            )
        return [
            (b"access-control-allow-methods", ", ".join(METHODS).encode()),
            (b"access-control-allow-headers", ", ".join(_SENT).encode()),
            (b"access-control-max-age", str(_SECONDS).encode()),
        ]

    def _allows(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1") in self._origins
