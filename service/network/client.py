"""The guarded HTTP client: the only way in which a step reaches the network.

Around httpcore, the engine of httpx (whose own client takes half as much CPU again, for what is not used here):
connections through ``egress`` (checked addresses, no proxy from the environment, HTTP/1.1), redirects followed by us
so that each hop is checked, waits for its host's turn, and what the user gave (headers, authentication, its query
parameters) goes to its own origin only, bodies decoded and bounded by ``compression``, one deadline for a whole
attempt, attempts counted by ``retry``. There are no cookies. Foreign errors become ``errors.Transient`` or
``errors.Permanent`` once, by the table of ``error_table``. Messages name a URL without its query, and never a secret.

One ``Client`` holds one connection and serves one task at a time: many tasks on one pool cost four times the CPU.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import httpcore
import httpx

import service
from service.kit import errors, placeholders
from service.network import compression, egress, error_table
from service.network.pacing import exhausted
from service.network.policy import ClientContext
from service.network.request import Hop, Request, Response, fault
from service.network.retry import STATUSES, Retry, Sleep, retry_after

MAX_REDIRECTS = 3
LONGEST_PAUSE = 60.0  # how long one answer can keep all others from a host, who may be known to it by another name
_EXCERPT = 200
_ERROR_BODY = 64 * 1024
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
_DELIMITED = frozenset({"content-length", "transfer-encoding"})
_FORBIDDEN = 403  # with a word on when to come again it means too many requests: some hosts say it so
_BODILESS = frozenset({204, 205})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BASE_HEADERS = {"user-agent": f"penstock/{service.__version__}", "accept-encoding": "gzip, deflate"}


def _echoed(request: Request) -> list[str]:
    """What the user's headers and keys say, also without the word before it ("Basic"): some servers repeat it."""
    values = [*request.headers.values(), *(v for _, v in request.auth_params)]
    return [part for v in values for part in (v, v.partition(" ")[2]) if len(part) >= 8]


@functools.lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms, once a process


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
        ctx: ClientContext,
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
        self._pool = self._connected()
        self._torn = False  # a request was broken off: httpcore may then count its connection as busy for ever
        for name in ("httpx", "httpcore"):  # their lines at INFO and below show whole URLs and headers
            logging.getLogger(name).setLevel(logging.WARNING)

    def _connected(self) -> httpcore.AsyncConnectionPool:
        backend = egress.Backend(self._policy, self._resolver)
        return httpcore.AsyncConnectionPool(_trust(), max_connections=1, network_backend=backend)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def fetch(self, request: Request) -> Response:
        """The answer with a 2xx status, after as many attempts as ``retry`` allows.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await self._retry.run(lambda: self._attempt(request), self._sleep, self._waiting)

    def _waiting(self, attempt: int, seconds: float, error: Exception) -> None:
        self.tally.retries += 1
        self._ctx.log.info(
            "fetch.retry", step=self._ctx.step, attempt=attempt, delay=round(seconds, 3), reason=str(error)
        )

    async def _attempt(self, request: Request) -> Response:
        wrong = fault(request.url)
        if wrong is not None:
            raise self._error(errors.Permanent, request.url, wrong)
        if self._torn:
            await self._pool.aclose()
            self._pool, self._torn = self._connected(), False
        try:
            return await self._follow(request)
        except errors.PenstockError:
            raise
        except asyncio.CancelledError:
            self._torn = True
            raise
        except Exception as error:
            self._torn = True
            found = error_table.meaning(error)
            if found is None:
                raise
            raise self._error(found[0], request.url, found[1]) from None

    async def _follow(self, request: Request) -> Response:
        hop = Hop.of(request.url, request.params)
        home = Hop.of(request.home or request.url).origin
        method, content, left = request.method, request.content, self._timeout
        interval = max(self._interval, request.interval)
        for _ in range(MAX_REDIRECTS + 1):
            at_home = hop.origin == home
            if content is not None and not at_home:
                raise self._error(errors.Permanent, hop.url, "the request body is not sent on to another origin")
            host = self._ctx.limiters.of(hop.origin[1])
            await host.enter(interval, self._at_once, self._sleep)
            try:
                async with asyncio.timeout(left) as deadline:
                    answer = await self._send(request, method, hop, content, at_home)
                wait = self._wanted(answer)
                if wait:  # nobody asks a host again before it is ready
                    longest = self._retry.max_delay_seconds
                    await host.pause(min(wait, longest if answer.status < 300 else max(longest, LONGEST_PAUSE)))
            finally:
                host.leave(self._at_once)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return self._judged(answer, request, method)
            left = max(0.0, (deadline.when() or 0.0) - asyncio.get_running_loop().time())
            hop = self._target(hop.url, answer.headers["location"])
            if not request.follow:
                return replace(answer, url=hop.url)
            if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
                method, content = "GET", None
        raise self._error(errors.Permanent, request.url, f"more than {MAX_REDIRECTS} redirects")

    @staticmethod
    def _wanted(answer: Response) -> float | None:
        """Seconds for which the host wants no request."""
        delay = retry_after(answer.headers) if answer.status in (*STATUSES, _FORBIDDEN) else None
        return exhausted(answer.headers) if delay is None else delay

    def _target(self, url: str, location: str) -> Hop:
        target = str(httpx.URL(url).join(location))
        wrong = fault(target)
        if wrong is not None:
            raise self._error(errors.Permanent, url, f"it redirects to where we do not go: {wrong}")
        return Hop.of(target)

    async def _send(self, request: Request, method: str, hop: Hop, content: bytes | None, at_home: bool) -> Response:
        headers = {**_BASE_HEADERS, "accept": request.accept}
        if content is not None:
            headers["content-type"] = request.content_type
        sent = hop
        if at_home:
            headers |= {name.lower(): value for name, value in request.headers.items()}
            if request.auth_params:
                sent = Hop.of(hop.url, [p for p in request.auth_params if p[0] not in httpx.QueryParams(hop.query)])
        self._policy.check_port(hop.origin[1], hop.origin[2])
        self.tally.requests += 1
        response = await self._pool.handle_async_request(sent.request(method, headers, content))
        try:
            named: dict[str, str] = {}
            for raw, value in response.headers:
                name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
                named[name] = f"{named[name]}, {text}" if name in named else text
            body = b"" if response.status in REDIRECTS else await self._body(response, named, request.max_bytes)
        finally:
            await response.aclose()
        return Response(response.status, named, body, hop.url)

    async def _body(self, response: httpcore.Response, headers: Mapping[str, str], limit: int | None) -> bytes:
        encoding = headers.get("content-encoding", "")
        if 200 <= response.status < 300:
            ceiling = self._ctx.network.max_response_bytes
            return await compression.bounded(self._counted(response), encoding, min(limit or ceiling, ceiling))
        try:
            return await compression.bounded(self._counted(response), encoding, _ERROR_BODY)
        except (compression.TooMuch, compression.BrokenEncoding, compression.UnknownEncoding, *_BROKEN):
            return b""  # the status says enough

    async def _counted(self, response: httpcore.Response) -> AsyncIterator[bytes]:
        async for chunk in response.aiter_stream():
            self.tally.bytes += len(chunk)
            yield chunk

    def _judged(self, answer: Response, request: Request, method: str) -> Response:
        if 200 <= answer.status < 300:
            open_ended = not _DELIMITED & answer.headers.keys() and answer.status not in _BODILESS
            if open_ended and request.whole is not None and not request.whole(answer.body):
                raise self._error(errors.Transient, answer.url, "the answer ended too early")
            return answer
        said = f"{method} answered {answer.status} {httpx.codes.get_reason_phrase(answer.status)}".rstrip()
        excerpt = " ".join(answer.body.decode("utf-8", "replace").split())[:_EXCERPT]
        if excerpt:
            said = f"{said}: {placeholders.mask(excerpt, _echoed(request))}"
        wait = self._wanted(answer)
        busy = answer.status in STATUSES or (answer.status == _FORBIDDEN and wait is not None)
        if answer.status in (401, _FORBIDDEN) and not busy:
            home = Hop.of(request.home or request.url)
            away = Hop.of(answer.url).origin != home.origin
            said = f"{said}; " + (
                f"'auth' and 'headers' are sent to {home.site} only" if away else "check 'auth' and 'headers'"
            )
        if busy:
            longest = self._retry.max_delay_seconds
            if wait is not None and wait > longest:
                said = f"{said}; it wants to be left alone for {wait:.0f} s (retry.max_delay_seconds is {longest:g})"
            raise self._error(errors.Transient, answer.url, said, delay=wait, status=answer.status)
        raise self._error(errors.Permanent, answer.url, said, status=answer.status)

    def _error(self, family: error_table.Family, url: str, text: str, **details: Any) -> errors.StepError:
        shown = url.split("?", 1)[0].split("#", 1)[0]
        if "@" in shown.split("//", 1)[-1].split("/", 1)[0]:
            shown = "the URL"
        message = placeholders.mask(f"{shown}: {text}", list(self._ctx.secrets.values()))
        return family(message, step=self._ctx.step, field=self._field, **details)
