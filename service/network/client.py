"""The guarded HTTP client: the only way in which a step reaches the network.

It is built on httpcore, the engine of httpx (httpx's own client takes half as much CPU again for features that are
not used here):

- connections go through ``egress``: checked addresses, no proxy from the environment, HTTP/1.1;
- the client follows redirects itself, so that each hop is checked and waits for its host's turn, and so that the
  user's headers, authentication and query parameters are sent to the first origin only;
- ``compression`` decodes and bounds bodies; one deadline covers a whole attempt; ``retry`` counts attempts;
- there are no cookies;
- the table of ``error_table`` translates foreign errors to ``errors.Transient`` or ``errors.Permanent``, once.
  Messages name a URL without its query and never show a secret.

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
from service.kit.excerpts import excerpt
from service.network import compression, egress, error_table, guarded_backend, observer, redirect
from service.network.pacing import exhausted
from service.network.policy import ClientContext
from service.network.request import Hop, Request, Response, fault
from service.network.retry import STATUSES, Retry, Sleep, retry_after

LONGEST_PAUSE = 60.0  # one answer pauses all callers of a host at most this long: the limit may be another caller's
_EXCERPT = 200
_ERROR_BODY = 64 * 1024
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
_DELIMITED = frozenset({"content-length", "transfer-encoding"})
_FORBIDDEN = 403  # together with a time to retry after it means "too many requests" on some hosts
_BODILESS = frozenset({204, 205})
_BASE_HEADERS = {"user-agent": f"penstock/{service.__version__}", "accept-encoding": "gzip, deflate"}


def _echoed(request: Request) -> list[str]:
    """The user's header values and keys, also without their scheme ("Basic"): some servers repeat them in errors."""
    values = [*request.headers.values(), *(v for _, v in request.auth_params)]
    return [part for v in values for part in (v, v.partition(" ")[2]) if len(part) >= 8]


@functools.lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 20 ms, once a process


@dataclass
class Tally:
    """Counts of one collection: requests sent (redirects and retries included), retries, bytes received."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


class Client:
    """Fetches requests within the policy of ``ctx.network``. An async context manager.

    ``timeout_seconds`` bounds one attempt, redirects and body included, but not the wait for a turn. ``field`` is the
    setting that errors name. ``interval`` is the least number of seconds between two requests to one host, and
    ``at_once`` the largest number of concurrent requests to it, over all runs (``pacing``). ``tally`` may be shared.
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
        resolver: guarded_backend.Resolver = guarded_backend.resolve,
    ) -> None:
        self._ctx, self._retry, self._field, self._sleep = ctx, retry, field, sleep
        self._timeout, self._interval, self._at_once = timeout_seconds, interval, at_once
        self.tally = tally if tally is not None else Tally()
        self._policy = egress.Policy.of(ctx.network.allowed_private_hosts)
        self._resolver = resolver
        self._pool = self._new_pool()
        self._torn = False  # a request was aborted: httpcore may then count its connection as busy for ever
        for name in ("httpx", "httpcore"):  # their lines at INFO and below show whole URLs and headers
            logging.getLogger(name).setLevel(logging.WARNING)

    def _new_pool(self) -> httpcore.AsyncConnectionPool:
        backend = guarded_backend.Backend(self._policy, self._resolver)
        return httpcore.AsyncConnectionPool(_trust(), max_connections=1, network_backend=backend)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def fetch(self, request: Request) -> Response:
        """Send a request until an answer has a 2xx status, as often as ``retry`` allows, and return that answer.

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
            self._pool, self._torn = self._new_pool(), False
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
        for _ in range(redirect.MOST + 1):
            at_origin = hop.origin == home
            if content is not None and not at_origin:
                raise self._error(errors.Permanent, hop.url, "a redirect to another origin does not get the body")
            host = self._ctx.limiters.of(hop.origin[1])
            await host.enter(interval, self._at_once, self._sleep)
            try:
                async with asyncio.timeout(left) as deadline:
                    sending = self._send(request, method, hop, content, at_origin)
                    answer = await observer.observed(self._ctx.step, method, hop.root, sending)
                wait = self._pause_seconds(answer)
                if wait:  # no caller sends another request before the host is ready
                    longest = self._retry.max_delay_seconds
                    await host.pause(min(wait, longest if answer.status < 300 else max(longest, LONGEST_PAUSE)))
            finally:
                host.leave(self._at_once)
            if not redirect.is_redirect(answer.status, answer.headers):
                return self._check_status(answer, request, method)
            left = max(0.0, (deadline.when() or 0.0) - asyncio.get_running_loop().time())
            hop = self._target(hop.url, answer.headers["location"])
            if not request.follow:
                return replace(answer, url=hop.url)
            if redirect.becomes_get(answer.status, method):
                method, content = "GET", None
        raise self._error(errors.Permanent, request.url, f"more than {redirect.MOST} redirects")

    @staticmethod
    def _pause_seconds(answer: Response) -> float | None:
        """The seconds for which the host accepts no request, or None."""
        delay = retry_after(answer.headers) if answer.status in (*STATUSES, _FORBIDDEN) else None
        return exhausted(answer.headers) if delay is None else delay

    def _target(self, url: str, location: str) -> Hop:
        try:
            return redirect.target(url, location)
        except redirect.NotAllowed as error:
            raise self._error(errors.Permanent, url, str(error)) from None

    async def _send(self, request: Request, method: str, hop: Hop, content: bytes | None, at_origin: bool) -> Response:
        headers = {**_BASE_HEADERS, "accept": request.accept}
        if content is not None:
            headers["content-type"] = request.content_type
        sent = hop
        if at_origin:
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
            unread = response.status in redirect.STATUSES or (request.ignore_body and 200 <= response.status < 300)
            body = b"" if unread else await self._body(response, named, request.max_bytes)
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
            return b""  # the status is enough for the error

    async def _counted(self, response: httpcore.Response) -> AsyncIterator[bytes]:
        async for chunk in response.aiter_stream():
            self.tally.bytes += len(chunk)
            yield chunk

    def _check_status(self, answer: Response, request: Request, method: str) -> Response:
        if 200 <= answer.status < 300:
            open_ended = not _DELIMITED & answer.headers.keys() and answer.status not in _BODILESS
            if open_ended and request.whole is not None and not request.whole(answer.body):
                raise self._error(errors.Transient, answer.url, "the answer ended too early")
            return answer
        message = f"{method} answered {answer.status} {httpx.codes.get_reason_phrase(answer.status)}".rstrip()
        said = " ".join(answer.body.decode("utf-8", "replace").split())
        if said:  # masked as a whole, so that no secret is cut in two
            said = placeholders.mask(said, [*self._ctx.secrets.values(), *_echoed(request)])
            message = f"{message}: {excerpt(said, _EXCERPT)}"
        wait = self._pause_seconds(answer)
        busy = answer.status in STATUSES or (answer.status == _FORBIDDEN and wait is not None)
        if answer.status in (401, _FORBIDDEN) and not busy:
            home = Hop.of(request.home or request.url)
            away = Hop.of(answer.url).origin != home.origin
            message = f"{message}; " + (
                f"'auth' and 'headers' are sent to {home.site} only" if away else "check 'auth' and 'headers'"
            )
        if busy:
            longest = self._retry.max_delay_seconds
            if wait is not None and wait > longest:
                message = f"{message}; it asked to retry after {wait:.0f} s (retry.max_delay_seconds is {longest:g})"
            raise self._error(errors.Transient, answer.url, message, delay=wait, status=answer.status)
        raise self._error(errors.Permanent, answer.url, message, status=answer.status)

    def _error(self, family: error_table.Family, url: str, text: str, **details: Any) -> errors.StepError:
        shown = url.split("?", 1)[0].split("#", 1)[0]
        if "@" in shown.split("//", 1)[-1].split("/", 1)[0]:
            shown = "the URL"
        message = placeholders.mask(f"{shown}: {text}", list(self._ctx.secrets.values()))
        return family(message, step=self._ctx.step, field=self._field, **details)
