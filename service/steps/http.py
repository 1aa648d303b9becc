"""The guarded HTTP client: the only way in which a step reaches the network.

Around httpx: connections through ``egress`` (checked addresses, no proxy from the environment, HTTP/1.1), redirects
followed by us so that each hop is checked and what the user gave (headers, authentication, its query parameters)
goes to its own origin only, bodies decoded and bounded by ``compression``, one deadline for a whole attempt,
attempts counted by ``retry``. Cookies are not kept. Foreign errors become ``errors.Transient`` or
``errors.Permanent`` once, by the table of ``failures``. Messages name a URL without its query, and never a secret.

One ``Client`` holds one connection and serves one task at a time: many tasks on one pool cost four times the CPU.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any

import httpcore
import httpx

import service
from service.kit import errors
from service.steps import compression, egress, failures, secrets
from service.steps.context import Context
from service.steps.governor import exhausted
from service.steps.retry import STATUSES, Retry, Sleep, retry_after

MAX_REDIRECTS = 3
_EXCERPT = 200
_ERROR_BODY = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BASE_HEADERS = {"user-agent": f"penstock/{service.__version__}", "accept-encoding": "gzip, deflate"}

_parsed = functools.lru_cache(maxsize=256)(httpx.URL)  # a tenth of a page's cost, and mostly the same few


def fault(url: str) -> str | None:
    """What is wrong with a URL as such, before any connection; None where nothing is."""
    try:
        parsed = _parsed(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        return f"not a URL: {error}"
    if parsed.scheme not in ("http", "https"):
        return "only http:// and https:// URLs are fetched"
    if not parsed.host:
        return "the URL names no host"
    if (parsed.port or 0) > 65535:
        return f"there is no port {parsed.port}"
    if parsed.userinfo:
        return "a user name or password in the URL is refused; use 'auth' or 'headers'"
    return None


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port: what the user's headers may be sent to."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.host, port


@dataclass(frozen=True)
class Request:
    """One request. ``headers`` and ``auth_params`` are sent to the origin of ``home`` (default: ``url``) only.

    ``interval`` is the distance in seconds that the host of ``url`` wants, where it is more than the client's.
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


@dataclass(frozen=True)
class Answer:
    """A successful answer: decoded body, and the URL that gave it after redirects."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str

    @property
    def links(self) -> dict[str, str]:
        """The absolute URLs of the ``Link`` header, by their ``rel``."""
        if "link" not in self.headers:
            return {}
        found = httpx.Response(self.status, headers=self.headers).links
        return {rel: self.joined(link["url"]) for rel, link in found.items() if rel and link.get("url")}

    @property
    def next_url(self) -> str | None:
        """The absolute URL of ``Link: …; rel="next"``, if there is one."""
        return self.links.get("next")

    def joined(self, link: str) -> str:
        """A link of this answer as an absolute URL. Raises ``ValueError``."""
        try:
            return str(httpx.URL(self.url).join(link))
        except httpx.InvalidURL as error:
            raise ValueError(f"not a URL: {error}") from None


def _hidden(text: str, values: Sequence[str]) -> str:
    """``text`` without any of the values, however a URL may write them."""
    text = secrets.mask(text, values)
    for value in sorted((v for v in values if len(v) >= 4), key=len, reverse=True):
        spelled = "".join(c if c.isalnum() and c.isascii() else _spelling(c) for c in value)
        text = re.sub(spelled, secrets.MASK, text)
    return text


def _spelling(char: str) -> str:
    encoded = "".join(f"%{b:02X}" for b in char.encode())
    return f"(?:{re.escape(char)}|{encoded}|{encoded.lower()}{'|[+]' if char == ' ' else ''})"


def _echoed(request: Request) -> list[str]:
    """What the user's headers and keys say, also without the word before it ("Basic"): some servers repeat it."""
    values = [*request.headers.values(), *(v for _, v in request.auth_params)]
    return [part for v in values for part in (v, v.partition(" ")[2]) if len(part) >= 8]


@functools.lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms, once a process


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport on a pool whose connections are made by ``egress``."""

    def __init__(self, backend: egress.Backend) -> None:
        super().__init__(verify=_trust(), trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_trust(), max_connections=1, http1=True, http2=False, network_backend=backend
        )


@dataclass
class Tally:
    """What a collection took: requests sent (redirects and repetitions too), repetitions, bytes of answers."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


class Client:
    """Fetches, within the policy of ``ctx.network``. An async context manager.

    ``timeout_seconds`` bounds one attempt, redirects and body included, not the wait for a turn; ``field`` is the
    setting that errors name; ``interval`` is the least number of seconds between two requests to one host, ``at_once``
    the most requests on their way to it, whoever asks (``governor``); ``tally`` may be shared.
    """

    def __init__(
        self,
        ctx: Context,
        *,
        timeout_seconds: float,
        retry: Retry,
        field: str,
        interval: float = 0.0,
        at_once: int | None = None,
        tally: Tally | None = None,
        sleep: Sleep = asyncio.sleep,
        resolver: egress.Resolver = egress.resolve,
    ) -> None:
        self._ctx, self._retry, self._field, self._sleep = ctx, retry, field, sleep
        self._timeout, self._interval, self._at_once = timeout_seconds, interval, at_once
        self.tally = tally if tally is not None else Tally()
        self._policy = egress.Policy.of(ctx.network.allowed_private_hosts)
        self._resolver = resolver
        self._http = self._connected()
        self._torn = False  # a request was broken off: httpcore may then count its connection as busy for ever
        for name in ("httpx", "httpcore"):  # their lines at INFO and below show whole URLs and headers
            logging.getLogger(name).setLevel(logging.WARNING)

    def _connected(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=_Transport(egress.Backend(self._policy, self._resolver)),
            timeout=self._timeout,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def fetch(self, request: Request) -> Answer:
        """The answer with a 2xx status, after as many attempts as ``retry`` allows.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await self._retry.run(lambda: self._attempt(request), self._sleep, self._waiting)

    def _waiting(self, attempt: int, seconds: float, error: Exception) -> None:
        self.tally.retries += 1
        self._ctx.log.info(
            "fetch.retry", step=self._ctx.step, attempt=attempt, delay=round(seconds, 3), reason=str(error)
        )

    async def _attempt(self, request: Request) -> Answer:
        wrong = fault(request.url)
        if wrong is not None:
            raise self._error(errors.Permanent, request.url, wrong)
        if self._torn:
            await self._http.aclose()
            self._http, self._torn = self._connected(), False
        try:
            return await self._follow(request)
        except errors.PenstockError:
            raise
        except asyncio.CancelledError:
            self._torn = True
            raise
        except Exception as error:
            self._torn = True
            found = failures.meaning(error)
            if found is None:
                raise
            raise self._error(found[0], request.url, found[1]) from None

    async def _follow(self, request: Request) -> Answer:
        url = _parsed(request.url)
        if request.params:
            url = url.copy_merge_params(list(request.params))
        home = origin(_parsed(request.home or request.url))
        method, content, left = request.method, request.content, self._timeout
        interval = max(self._interval, request.interval)
        for _ in range(MAX_REDIRECTS + 1):
            at_home = origin(url) == home
            if content is not None and not at_home:
                raise self._error(errors.Permanent, str(url), "the request body is not sent on to another origin")
            host = self._ctx.governors.of(url.host)
            await host.enter(interval, self._at_once, self._sleep)
            try:
                async with asyncio.timeout(left) as deadline:
                    answer = await self._send(request, method, url, content, at_home)
                wait = self._wanted(answer)
                if wait:  # nobody asks a host again before it is ready
                    await host.pause(min(wait, self._retry.max_delay_seconds))
            finally:
                host.leave(self._at_once)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return self._judged(answer, request, method, url)
            left = max(0.0, (deadline.when() or 0.0) - asyncio.get_running_loop().time())
            url = self._target(url, answer.headers["location"])
            if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
                method, content = "GET", None
        raise self._error(errors.Permanent, request.url, f"more than {MAX_REDIRECTS} redirects")

    @staticmethod
    def _wanted(answer: Answer) -> float | None:
        """Seconds for which the host wants no request."""
        delay = retry_after(answer.headers) if answer.status in STATUSES else None
        return exhausted(answer.headers) if delay is None else delay

    def _target(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        wrong = fault(str(target))
        if wrong is not None:
            raise self._error(errors.Permanent, str(url), f"it redirects to where we do not go: {wrong}")
        return target

    async def _send(
        self, request: Request, method: str, url: httpx.URL, content: bytes | None, at_home: bool
    ) -> Answer:
        headers = httpx.Headers({**_BASE_HEADERS, "accept": request.accept})
        if content is not None:
            headers["content-type"] = request.content_type
        if at_home:
            headers.update(request.headers)
            missing = {k: v for k, v in request.auth_params if k not in url.params}
            url_sent = url.copy_merge_params(missing) if missing else url
        else:
            url_sent = url
        self._policy.check_port(url.host, origin(url)[2])
        self.tally.requests += 1
        built = self._http.build_request(method, url_sent, headers=headers, content=content)
        response = await self._http.send(built, stream=True)
        try:
            if response.status_code in _REDIRECTS:
                body = b""
            else:
                body = await self._body(response, request.max_bytes)
        finally:
            await response.aclose()
        self.tally.bytes += response.num_bytes_downloaded
        return Answer(response.status_code, response.headers, body, str(url))

    async def _body(self, response: httpx.Response, limit: int | None) -> bytes:
        encoding = response.headers.get("content-encoding", "")
        if response.is_success:
            ceiling = self._ctx.network.max_response_bytes
            return await compression.bounded(response.aiter_raw(), encoding, min(limit or ceiling, ceiling))
        try:
            return await compression.bounded(response.aiter_raw(), encoding, _ERROR_BODY)
        except (compression.TooMuch, compression.Unreadable, compression.Unsupported, httpx.TransportError):
            return b""  # the status says enough

    def _judged(self, answer: Answer, request: Request, method: str, url: httpx.URL) -> Answer:
        if 200 <= answer.status < 300:
            return answer
        said = f"{method} answered {answer.status} {httpx.codes.get_reason_phrase(answer.status)}".rstrip()
        excerpt = " ".join(answer.body.decode("utf-8", "replace").split())[:_EXCERPT]
        if excerpt:
            said = f"{said}: {_hidden(excerpt, _echoed(request))}"
        if answer.status in (401, 403):
            said = f"{said}; check 'auth' and 'headers'"
        if answer.status in STATUSES:
            raise self._error(
                errors.Transient, str(url), said, delay=self._wanted(answer), status=answer.status
            )  # fmt: skip
        raise self._error(errors.Permanent, str(url), said, status=answer.status)

    def _error(self, family: failures.Family, url: str, text: str, **details: Any) -> errors.StepError:
        shown = url.split("?", 1)[0].split("#", 1)[0]
        if "@" in shown.split("//", 1)[-1].split("/", 1)[0]:
            shown = "the URL"
        message = _hidden(f"{shown}: {text}", list(self._ctx.secrets.values()))
        return family(message, step=self._ctx.step, field=self._field, **details)
