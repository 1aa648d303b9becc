"""Request bodies, read within limits of size and time, and parsed only if ``Content-Type`` says what they are.

Litestar's parser is not used: it takes a text/plain body for JSON and answers 500 to a deeply nested one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from service.api import standing
from service.api.services import TypedRequest
from service.kit import decoding, documents, errors

T = TypeVar("T")
SECONDS = 30.0
LEAST_RATE = 1024
"""Bytes a second, on average after the first ``SECONDS``, below which an upload is given up."""
LONGEST = 1024 * 1024
"""Bytes of a JSON value. One call of the parser reads it, for which all other requests wait; records of ``/apply`` are
decoded by a child process and may be longer.
"""
LONGEST_CONFIGURATION = 512 * 1024
"""A configuration is read twice: the second time to find keys that are written twice."""
_THREAD_BYTES = 64 * 1024
_decoder = ThreadPoolExecutor(1, "decoder")  # one, so that long bodies share one turn of the interpreter
READ = "penstock.body"
"""The key of the ASGI scope with the body that a handler read, as a value."""
FIELD = "body"
"""What errors about the whole body name."""
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})
_FORM = "application/x-www-form-urlencoded"


def _bounded(request: TypedRequest, most: int) -> int:
    """``most``, if the body says that it has no more bytes. Raises ``errors.TooLarge``."""
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > most:
        raise _too_large(most)
    return most


async def _part(request: TypedRequest, most: int, left: int) -> tuple[bytes, bool]:
    """The next part of a body, of which ``left`` more bytes may come, and whether there is more of it."""
    message: Any = await request.receive()
    if message["type"] == "http.disconnect":
        raise errors.Invalid("the client went away before the body was complete", field=FIELD)
    part: bytes = message.get("body", b"")
    if len(part) > left:
        raise _too_large(most)
    return part, message.get("more_body", False)


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except TimeoutError:
        raise _too_slow() from None


def media_type(request: TypedRequest) -> str:
    """The media type of the body without parameters; ``""`` without ``Content-Type``."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def chunks(request: TypedRequest, most: int) -> AsyncIterator[bytes]:
    """The parts of the body as they arrive. Raises ``errors.TooLarge`` after ``most`` bytes, ``errors.TimedOut`` when
    none arrives for ``SECONDS`` or they bring less than ``LEAST_RATE``, and before the last as ``standing.confirm``.
    """
    left, more, loop = _bounded(request, most), True, asyncio.get_running_loop()
    deadline = loop.time() + SECONDS
    while more:
        async with _in_time():
            part, more = await _part(request, most, left)
        if not more:
            await standing.confirm(request)
        left -= len(part)
        deadline += len(part) / LEAST_RATE
        if more and loop.time() > deadline:
            raise _too_slow()
        if part:
            yield part


async def read(request: TypedRequest, most: int) -> bytes:
    """The whole body. Raises as ``chunks``, ``errors.TimedOut`` after ``SECONDS``, and as ``standing.confirm``."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise errors.Unsupported(f"send the body as it is, without 'Content-Encoding: {encoding[:80]}'")
    left = _bounded(request, most)
    async with _in_time():
        part, more = await _part(request, most, left)
        parts = [part]
        while more:
            left -= len(part)
            part, more = await _part(request, most, left)
            parts.append(part)
    await standing.confirm(request)
    return b"".join(parts)


async def configuration(request: TypedRequest, most: int) -> dict[str, Any]:
    """The JSON or YAML object of the body. Raises ``errors.Unsupported``, ``errors.Invalid`` (INVALID_JSON), the latter
    also for a key that is written twice.
    """
    is_yaml = media_type(request) in _YAML
    most = min(most, LONGEST_CONFIGURATION)
    text = await (read(request, most) if is_yaml else json(request, most, also=" or application/yaml"))
    read_text = documents.from_yaml if is_yaml else documents.configuration
    return _noted(request, as_object(await decoded(text, read_text)))


async def json(request: TypedRequest, most: int, *, also: str = "") -> bytes:
    """The bytes of a JSON body, not parsed. Raises ``errors.Unsupported``; ``also`` names other types in its text."""
    kind = media_type(request)
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise errors.Unsupported(f"send 'Content-Type: application/json'{also}, not '{kind[:80]}'")
    return await read(request, most)


async def value(request: TypedRequest, kind: type[T], most: int, *, form: bool = False) -> T:
    """The body as a ``kind``. With ``form`` it may be a URL-encoded form.

    Raises ``errors.Invalid`` with all problems, ``errors.Unsupported``.
    """
    if form and media_type(request) == _FORM:
        return _noted(request, _as(kind, _fields(await read(request, most))))
    text = await json(request, min(most, LONGEST))
    return _noted(request, await decoded(text, lambda text: _as(kind, documents.from_json(text))))


async def optional(request: TypedRequest, kind: type[T], most: int) -> T | None:
    """As ``value``; None without a body."""
    text = await read(request, min(most, LONGEST))
    if not text.strip():
        return None
    if media_type(request) != "application/json":
        raise errors.Unsupported("send 'Content-Type: application/json'")
    return _noted(request, await decoded(text, lambda text: _as(kind, documents.from_json(text))))


def _noted(request: TypedRequest, value: T) -> T:
    request.scope[READ] = value  # type: ignore[literal-required]
    return value


async def decoded(text: bytes, decode: Callable[[bytes], T]) -> T:
    """``decode(text)``, whose errors name the body; a long text is decoded in a thread, one at a time."""
    with named():
        if len(text) <= _THREAD_BYTES:
            return decode(text)
        return await asyncio.get_running_loop().run_in_executor(_decoder, decode, text)


async def refuse(request: TypedRequest, most: int) -> None:
    """Refuse a body on a route that would ignore it; an empty one or ``{}`` is allowed. Raises ``errors.Invalid``."""
    text = await read(request, most)
    if text.strip() not in (b"", b"{}"):
        raise errors.Invalid("this route takes no body; leave it out", field=FIELD)


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Let errors that name no field name the body."""
    try:
        yield
    except errors.Invalid as error:
        error.details.setdefault("field", FIELD)
        raise


def as_object(plain: Any) -> dict[str, Any]:
    """A body that must be an object. Raises ``errors.Invalid``."""
    if not isinstance(plain, dict):
        raise errors.Invalid("the body must be an object", field=FIELD)
    return plain


def _as(kind: type[T], plain: Any) -> T:
    found, problems = decoding.decode(kind, as_object(plain))
    if found is None:
        raise errors.Invalid.of(problems, "body")
    return found


def _fields(text: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20, errors="strict"
        )
    except ValueError as error:
        raise errors.Invalid(f"the form cannot be read: {error}", field=FIELD) from None
    return dict(pairs)


def _too_large(most: int) -> errors.TooLarge:
    return errors.TooLarge(f"the body is larger than {most} bytes", limit=most)


def _too_slow() -> errors.TimedOut:
    return errors.TimedOut(
        f"the body did not arrive within {SECONDS:g} s, or an upload by {LEAST_RATE} bytes a second; send it again",
        code="VALIDATION_ERROR",
        field=FIELD,
    )
