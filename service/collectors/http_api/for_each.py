"""Child collectors: the rows of another collector (the parents) each give one list of records to fetch.

The fields of a parent fill the placeholders ``{name}`` in the endpoint and the parameters. Each parent is requested
once, in row order; with ``concurrency`` several at a time, and the records stay in the order of the parents.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import quote, urljoin

import msgspec

from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import CollectContext

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

PARENT = "_penstock_parent"
"""The column with the key of a record's parent, kept while it is needed."""
PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
"""A placeholder for a parent's field; ``${NAME}`` is a secret."""
_AHEAD = 2  # pages of one parent that may wait for their turn
_NOTHING = (None, "")

Name = Annotated[str, msgspec.Meta(min_length=1)]
_Item = TypeVar("_Item")


class ForEach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parent collector: one list of records is fetched for each of its rows."""

    collector: Annotated[Name, msgspec.Meta(description="The id of the collector whose rows are the parents.")]
    fields: Annotated[
        dict[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*\Z")], Name],
        msgspec.Meta(min_length=1, description="Placeholder {name} in endpoint or params to parent column."),
    ]
    include: Annotated[
        list[Name] | dict[Name, Name],
        msgspec.Meta(
            description="Parent columns to add to its children, as <collector>_<column>, or column to new name."
        ),
    ] = []
    keep_parents: Annotated[
        bool, msgspec.Meta(description="Also keep the parent's rows as data; by default they only drive the requests.")
    ] = False
    on_missing: Annotated[
        Literal["fail", "skip"], msgspec.Meta(description="What to do if a parent's list does not exist (404, 410).")
    ] = "fail"

    @property
    def taken(self) -> dict[str, str]:
        """The parent columns that children get, by column: the new name."""
        if isinstance(self.include, dict):
            return dict(self.include)
        return {column: f"{self.collector}_{column}" for column in self.include}

    @property
    def columns(self) -> dict[str, str]:
        """Every required parent column, with the setting that names it."""
        listed = isinstance(self.include, list)
        taken = {c: f"for_each.include[{i}]" if listed else f"for_each.include.{c}" for i, c in enumerate(self.include)}
        return taken | {column: f"for_each.fields.{name}" for name, column in self.fields.items()}

    def problems(self, endpoint: str, params: Mapping[str, Any], others: Collection[str] = ()) -> Iterable[Problem]:
        """What is wrong with the placeholders in ``endpoint`` and ``params``, and with the names.

        ``others`` are the names of placeholders in the path that something else fills.
        """
        used = {name for text in (endpoint, *_texts(params)) for name in PLACEHOLDER.findall(text)}
        host = endpoint.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0] if "://" in endpoint else ""
        if PLACEHOLDER.search(host) or endpoint.startswith("//"):
            yield Problem("endpoint", "a placeholder may stand in the path and the query, not in the host")
        for name in sorted(PLACEHOLDER.findall(endpoint)):
            if name not in self.fields and name not in others:
                hint = errors.did_you_mean(name, self.fields)
                yield Problem("endpoint", f"for_each.fields has no '{name}' for {{{name}}}{hint}")
        for name in self.fields:
            if name not in used:
                yield Problem(f"for_each.fields.{name}", f"neither endpoint nor params has {{{name}}}")
        names = list(self.taken.values())
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield Problem("for_each.include", f"two columns get the name '{name}'")


@dataclass(frozen=True)
class RecordList:
    """One list of records: its URL and parameters, its parent's fields as JSON text (``key``), as text for messages
    (``label``) and its parent's row number (from 0)."""

    url: str
    params: Mapping[str, Any]
    key: str = ""
    label: str = ""
    number: int | None = None


def resolved(endpoint: str, ctx: CollectContext) -> str:
    """The endpoint with its secrets as an absolute URL, relative to its parents'. Raises ``errors.Permanent``."""
    return functools.reduce(urljoin, (ctx.fill(address) for address in (*ctx.base, endpoint)))


def record_lists(
    given: ForEach | None, endpoint: str, params: Mapping[str, Any], ctx: CollectContext
) -> tuple[list[RecordList], pl.DataFrame | None]:
    """The record lists to fetch, and the parent columns for their records, one row per list. Reads the parents.

    Raises ``errors.Permanent`` for a value that cannot stand in a URL.
    """
    url, params = resolved(endpoint, ctx), ctx.fill_all(params)
    if given is None:
        return [RecordList(url, params)], None
    if ctx.parents is None:
        raise errors.Permanent(f"the rows of '{given.collector}' are missing", step=ctx.step, field="for_each")
    columns = list(dict.fromkeys(given.fields.values()))
    rows = ctx.parents.select(list(dict.fromkeys([*columns, *given.taken])))
    parents = rows.unique(subset=columns, keep="first", maintain_order=True).collect(engine="streaming")
    blank = pl.any_horizontal(pl.col(columns).cast(pl.String).fill_null("") == "")
    whole = parents.filter(~blank)
    if whole.height < parents.height:
        skipped = int(rows.select(blank.sum()).collect(engine="streaming").item())
        subject, verb = ("1 parent has", "is") if skipped == 1 else (f"{skipped} parents have", "are")
        ctx.warn("parent_without_key", f"{subject} no value in {', '.join(columns)} and {verb} skipped")
    found = [_record_list(given, url, params, row, n, ctx) for n, row in enumerate(whole.select(columns).iter_rows())]
    ctx.add_evidence({"parents": len(found)})
    return found, whole.select(pl.col(c).alias(n) for c, n in given.taken.items())


def _record_list(
    given: ForEach, url: str, params: Mapping[str, Any], row: tuple[Any, ...], number: int, ctx: CollectContext
) -> RecordList:
    columns = list(dict.fromkeys(given.fields.values()))
    texts = {name: _text(row[columns.index(column)]) for name, column in given.fields.items()}
    label = ", ".join(f"{name} {text}" for name, text in texts.items())
    path, mark, query = url.partition("?")
    for name in PLACEHOLDER.findall(path):
        if texts.get(name) in (".", ".."):  # it would change the path, however it is encoded
            raise errors.Permanent(
                f"'{texts[name]}' cannot stand for {{{name}}} in a path", step=ctx.step, field=f"for_each.fields.{name}"
            )
    filled = PLACEHOLDER.sub(lambda m: quote(texts[m[1]], safe="") if m[1] in texts else m[0], path + mark + query)
    key = msgspec.json.encode([texts[name] for name in sorted(texts)]).decode()
    return RecordList(filled, {k: _fill(v, texts) for k, v in params.items()}, key, label, number)


def _fill(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_fill(item, texts) for item in value]
    return PLACEHOLDER.sub(lambda m: texts.get(m[1], m[0]), value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _texts(params: Mapping[str, Any]) -> Iterator[str]:
    for value in params.values():
        yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str))


@dataclass(frozen=True)
class _End(Generic[_Item]):
    error: BaseException | None = None


async def in_order(
    lists: Iterable[RecordList], at_once: int, walk: Callable[[RecordList], AsyncGenerator[_Item, None]]
) -> AsyncGenerator[tuple[RecordList, _Item], None]:
    """Everything that ``walk`` yields, list after list; up to ``at_once`` lists are walked concurrently.

    A list ahead of its turn pauses after a few items, so that memory does not grow with the lists.
    """
    if at_once == 1:
        for listing in lists:
            async with aclosing(walk(listing)) as items:
                async for item in items:
                    yield listing, item
        return
    waiting = iter(lists)
    going: deque[tuple[RecordList, asyncio.Queue[_Item | _End[_Item]], asyncio.Task[None]]] = deque()

    def begin() -> None:
        for listing in waiting:
            queue: asyncio.Queue[_Item | _End[_Item]] = asyncio.Queue(_AHEAD)
            going.append((listing, queue, asyncio.create_task(_enqueue(walk(listing), queue))))
            if len(going) >= at_once:
                return

    try:
        begin()
        while going:
            listing, queue, _ = going[0]
            found = await queue.get()
            if not isinstance(found, _End):
                yield listing, found
                continue
            if found.error is not None:
                raise found.error
            going.popleft()
            begin()
    finally:
        for _, _, task in going:
            task.cancel()
        await asyncio.gather(*(task for _, _, task in going), return_exceptions=True)


async def _enqueue(items: AsyncGenerator[_Item, None], queue: asyncio.Queue[_Item | _End[_Item]]) -> None:
    try:
        async with aclosing(items):
            async for item in items:
                await queue.put(item)
    except Exception as error:
        await queue.put(_End(error))
    else:
        await queue.put(_End())
