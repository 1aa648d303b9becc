"""Requests, hops and responses as values. This module makes no connection."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from service.kit import lazy
from service.network import link_header

if TYPE_CHECKING:
    import httpcore
    import httpx
else:  # the first URL loads them
    httpcore = lazy.module("httpcore")
    httpx = lazy.module("httpx")

_PORTS = {"http": 80, "https": 443}


_HOST = re.compile(r"[A-Za-z0-9._:~-]+")


_SAID = re.compile("[:,']")  # what follows in an error of the parser is a part of the URL


@functools.lru_cache(maxsize=256)  # parsing is a tenth of a page's cost, and most URLs recur
def _parse(url: str) -> httpx.URL:
    return httpx.URL(url)


def fault(url: str) -> str | None:
    """What is wrong with a URL itself, before any connection; None if nothing is.

    The text has no part of the URL: a secret may be in it, and half a secret cannot be recognized and masked.
    """
    try:
        parsed = _parse(url)
        host = parsed.host and parsed.raw_host.decode()  # reading the host shows invalid punycode
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        return f"not a URL: {_SAID.split(str(error))[0]}"
    if parsed.scheme not in ("http", "https"):
        return "only http:// and https:// URLs are fetched"
    if not host:
        return "the URL names no host"
    if not _HOST.fullmatch(host):
        return "its host is not a host name"
    if parsed.port is not None and not 0 < parsed.port <= 65535:
        return "its port is not a port number"
    if parsed.userinfo:
        return "a user name or password in the URL is refused; use 'auth' or 'headers'"
    return None


class Hop(NamedTuple):
    """One address to send a request to: its origin (scheme, host and port), path, query and URL without the query."""

    origin: tuple[str, str, int]
    path: bytes
    query: str
    root: str

    @classmethod
    def of(cls, url: str, params: Sequence[tuple[str, str]] = ()) -> Hop:
        """The hop of ``url``; ``params`` replace the query parameters of the same names."""
        found = _hop(url)
        if not params:
            return found
        query = urlencode(params) if not found.query else str(httpx.QueryParams(found.query).merge(list(params)))
        return found._replace(query=query)

    @property
    def url(self) -> str:
        """The whole URL, without a fragment."""
        return f"{self.root}?{self.query}" if self.query else self.root

    @property
    def site(self) -> str:
        """Scheme and host."""
        return f"{self.origin[0]}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """The host, and the port if it is not the scheme's default."""
        scheme, host, port = self.origin
        name = f"[{host}]" if ":" in host else host
        return name if port == _PORTS[scheme] else f"{name}:{port}"

    def request(self, method: str, headers: Mapping[str, str], content: bytes | None) -> httpcore.Request:
        """The request to send. Raises ``UnicodeError`` if a header is not ASCII."""
        scheme, host, port = self.origin
        sent = [(b"host", self.netloc.encode()), *((k.encode("ascii"), v.encode("ascii")) for k, v in headers.items())]
        if content is not None or method == "POST":
            sent.append((b"content-length", str(len(content or b"")).encode()))
        target = self.path + b"?" + self.query.encode() if self.query else self.path
        url = httpcore.URL(scheme=scheme.encode(), host=host.encode(), port=port, target=target)
        return httpcore.Request(method, url, headers=sent, content=content)


@functools.lru_cache(maxsize=256)
def _hop(url: str) -> Hop:
    parsed = _parse(url)
    origin = (parsed.scheme, parsed.raw_host.decode(), parsed.port or _PORTS[parsed.scheme])
    bare = parsed.copy_with(query=None, fragment=None)
    return Hop(origin, bare.raw_path, parsed.query.decode(), str(bare))


@dataclass(frozen=True)
class Request:
    """One request. ``headers`` and ``auth_params`` are sent to the origin of ``home`` (default: ``url``) only.

    ``interval`` is the number of seconds between two requests that the host of ``url`` asks for; it counts if it is
    more than the client's. ``whole`` tells whether a body without a declared length is complete. Without ``follow`` a
    redirect is returned as the response, and its ``url`` is the target. With ``ignore_body`` the body of a successful
    answer is not read.
    """

    url: str
    method: str = "GET"
    accept: str = "*/*"
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    auth_params: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    content_type: str = "application/json"
    home: str | None = None
    max_bytes: int | None = None
    interval: float = 0.0
    whole: Callable[[bytes], bool] | None = None
    follow: bool = True
    ignore_body: bool = False


@dataclass(frozen=True)
class Response:
    """A successful answer: headers by lower-case name, decoded body, and the final URL after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def links(self) -> dict[str, str]:
        """The absolute URLs of the ``Link`` header, by ``rel``."""
        if "link" not in self.headers:
            return {}
        return {relation: self.joined(url) for relation, url in link_header.relations(self.headers["link"]).items()}

    def joined(self, link: str) -> str:
        """Resolve a link of this answer to an absolute URL. Raises ``ValueError``."""
        try:
            return str(httpx.URL(self.url).join(link))
        except httpx.InvalidURL as error:
            raise ValueError(f"not a URL: {error}") from None
