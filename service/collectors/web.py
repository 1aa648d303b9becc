"""Rows from web pages: one for each container, its fields by CSS selectors.

lexbor works on bytes, and a whole column costs one query: where a selector finds exactly one element in each
container, in order, the answers are taken as they come; only else each container is asked by itself. A page is
parsed in the run's own process, never in the service's: hostile HTML can hang or crash a parser.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from urllib.parse import urljoin

import msgspec
import polars as pl
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from service.collectors import headers
from service.kit import errors
from service.kit.errors import Problem
from service.steps import http
from service.steps.collector import Collector
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.http import Answer, Client, Request
from service.steps.polars_frame import PolarsFrame
from service.steps.retry import Retry
from service.steps.spool import Spool

MAX_PAGE_BYTES = 5 * 1024 * 1024
CONTAINER = "container"
MAX_OPEN = 15_000
MAX_ATTRIBUTES = 5_000
_PART_ROWS = 20_000
_OPENED = re.compile(
    rb"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|li|p|td|th|tr|dt|dd|option)\b)[a-z]",
    re.IGNORECASE,
)
_LONG_TAG = re.compile(rb"<[a-zA-Z][^>]{10000,}")
_ATTRIBUTE = re.compile(r"^(?P<selector>.*?)\s*@(?P<attribute>[A-Za-z_][\w.:-]*)$", re.DOTALL)
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LATIN = frozenset({"iso8859-1", "ascii"})  # browsers read both as windows-1252

Selector = Annotated[
    str, msgspec.Meta(max_length=1000, description="CSS selector; 'h2 a@href' takes the attribute.", examples=["h2 a"])
]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a column is taken from: the first element that matches inside the container."""

    selector: Annotated[str, msgspec.Meta(max_length=1000, description="CSS selector; '' is the container.")] = ""
    attribute: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Take this attribute instead of the text."),
    ] = None
    required: Annotated[bool, msgspec.Meta(description="A container without it fails the run.")] = False


class WebCollector(Collector, frozen=True, kw_only=True, tag="web"):
    """Rows from HTML: one for each element that ``css_selectors.container`` finds, on every page in order."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "web",
        "url": ["https://example.com/books?page=1", "https://example.com/books?page=2"],
        "css_selectors": {
            "container": "article.book",
            "title": {"selector": "h2 a", "required": True},
            "link": "h2 a@href",
            "price": ".price",
        },
    }

    url: Annotated[
        Address | Annotated[list[Address], msgspec.Meta(min_length=1, max_length=10_000)],
        msgspec.Meta(description="One page, or several in order; http or https."),
    ]
    css_selectors: Annotated[
        dict[str, Selector | Field],
        msgspec.Meta(description="'container', and a selector for each column: 'h2 a', 'h2 a@href', or an object."),
    ]
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to each page's own origin only.")] = {}
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600, description="For one attempt, body included.")] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    absolute_urls: Annotated[bool, msgspec.Meta(description="href and src become absolute URLs.")] = True

    @property
    def pages(self) -> list[str]:
        """The URLs, in order."""
        return [self.url] if isinstance(self.url, str) else self.url

    @property
    def fields(self) -> dict[str, Field]:
        """The columns, each in its long form."""
        return {name: _field(value) for name, value in self.css_selectors.items() if name != CONTAINER}

    def problems(self) -> Iterable[Problem]:
        for index, url in enumerate(self.pages):
            wrong = http.fault(url) if "${" not in url else None
            if wrong is not None:
                yield Problem("url" if isinstance(self.url, str) else f"url[{index}]", wrong)
        yield from headers.problems(self.headers)
        container = self.css_selectors.get(CONTAINER)
        if not isinstance(container, str) or not container:
            yield Problem(f"css_selectors.{CONTAINER}", "is required: the selector of the element that is one row")
        elif fault(container) is not None:
            yield Problem(f"css_selectors.{CONTAINER}", f"{fault(container)}: '{container}'")
        if not self.fields:
            yield Problem("css_selectors", "name at least one column beside 'container'")
        for name, field in self.fields.items():
            wrong = fault(field.selector) if field.selector else None
            if wrong is not None:
                yield Problem(f"css_selectors.{name}", f"{wrong}: '{field.selector}'")

    async def collect(self, ctx: Context) -> Frame:
        """Fetch every page, and answer a scan of what was found there.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        async with Client(ctx, timeout_seconds=self.timeout_seconds, retry=self.retry, field="url") as client:
            return await _Scraping(self, ctx).collect(client)


def _field(value: str | Field) -> Field:
    if isinstance(value, Field):
        return value
    match = _ATTRIBUTE.match(value)
    return Field(selector=match["selector"], attribute=match["attribute"]) if match else Field(selector=value.strip())


def fault(selector: str) -> str | None:
    """What is wrong with a CSS selector, or None."""
    try:
        LexborHTMLParser(b"<p>").css(selector)
    except SelectolaxError:
        return "not a CSS selector that can be read"
    return None


def charset(body: bytes, content_type: str) -> str:
    """The Python codec of a page: by its byte order mark, the header, the page's own word, else UTF-8."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    said = _CHARSET.search(content_type)
    meta = None if said else _META.search(body[:4096])
    name = said[1] if said else meta[1].decode("ascii", "replace") if meta else "utf-8"
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return "utf-8"
    if meta and found.startswith("utf-16"):
        return "utf-8"  # a page that could say so in ASCII is not in UTF-16
    return "cp1252" if found in _LATIN else found


def utf8(body: bytes, content_type: str) -> bytes:
    """The page in UTF-8, whatever it came in; unreadable bytes become U+FFFD."""
    name = charset(body, content_type)
    return body if name == "utf-8" else body.decode(name, "replace").encode()


def hostile(body: bytes) -> str | None:
    """Why a page would keep the parser busy for minutes, or None: its time grows with the square of both."""
    if len(_OPENED.findall(body)) - body.count(b"</") > MAX_OPEN:
        return f"more than {MAX_OPEN} of its elements stay open"
    if any(len(m[0].split()) > MAX_ATTRIBUTES for m in _LONG_TAG.finditer(body)):
        return f"an element has more than {MAX_ATTRIBUTES} attributes"
    return None


@dataclass(frozen=True)
class Page:
    """One parsed page."""

    tree: LexborHTMLParser
    base: str

    @classmethod
    def of(cls, answer: Answer) -> Page:
        tree = LexborHTMLParser(utf8(answer.body, answer.headers.get("content-type", "")))
        base = tree.css_first("base[href]")
        return cls(tree, _joined(answer.url, base.attributes.get("href") or "") if base is not None else answer.url)

    def column(self, containers: list[LexborNode], field: Field, absolute: bool) -> list[str | None]:
        """One value for each container: text with its spaces collapsed, or the attribute; None where missing."""
        values = [self._value(n, field.attribute) for n in self._nodes(containers, field.selector)]
        if absolute and field.attribute in ("href", "src"):
            return [v if v is None else _joined(self.base, v) for v in values]
        return values

    def _nodes(self, containers: list[LexborNode], selector: str) -> Iterable[LexborNode | None]:
        if not selector:
            return containers
        found = self.tree.css(selector)
        if len(found) == len(containers) and all(map(_inside, found, containers)):
            return found
        return [c.css_first(selector) for c in containers]

    def _value(self, node: LexborNode | None, attribute: str | None) -> str | None:
        if node is None:
            return None
        if attribute is None:
            return " ".join(node.text().split())
        attributes = node.attributes
        return (attributes[attribute] or "").strip() if attribute in attributes else None


def _inside(node: LexborNode, container: LexborNode) -> bool:
    here: LexborNode | None = node
    while here is not None:
        if here.mem_id == container.mem_id:
            return True
        here = here.parent
    return False


def _joined(base: str, url: str) -> str:
    try:
        return urljoin(base, url)
    except ValueError:
        return url


class _Scraping:
    """One collection going on."""

    def __init__(self, settings: WebCollector, ctx: Context) -> None:
        self._settings, self._ctx = settings, ctx
        self._fields = settings.fields
        self._container = str(settings.css_selectors[CONTAINER])
        self._spool = Spool(ctx.folder)
        self._rows: dict[str, list[str | None]] = {name: [] for name in self._fields}
        self._matched = dict.fromkeys(self._fields, False)
        self._pending = self._total = 0

    async def collect(self, client: Client) -> Frame:
        ctx, pages = self._ctx, self._settings.pages
        own = ctx.fill_all(self._settings.headers)
        for number, url in enumerate(pages):
            request = Request(
                ctx.fill(url),
                accept="text/html, application/xhtml+xml, */*;q=0.5",
                headers=own,
                max_bytes=MAX_PAGE_BYTES,
            )
            answer = await client.fetch(request)
            found = await asyncio.to_thread(self._extract, answer, url)
            self._total += found
            ctx.collected(found)
            ctx.progress((number + 1) / len(pages), f"{self._total} rows from {number + 1} of {len(pages)} pages")
        self._flush()
        self._notice()
        return PolarsFrame(self._scan(), ctx.folder, dear=False)

    def _extract(self, answer: Answer, url: str) -> int:
        wrong = hostile(answer.body)
        if wrong is not None:
            raise self._permanent(f"{url.split('?', 1)[0]}: the page is refused: {wrong}", "url")
        page = Page.of(answer)
        containers = page.tree.css(self._container)
        for name, field in self._fields.items():
            values = page.column(containers, field, self._settings.absolute_urls)
            if field.required and None in values:
                raise self._permanent(
                    f"{url.split('?', 1)[0]}: row {values.index(None) + 1} has no '{name}' ('{field.selector}')",
                    f"css_selectors.{name}",
                )
            self._matched[name] = self._matched[name] or any(v is not None for v in values)
            self._rows[name].extend(values)
        self._pending += len(containers)
        if self._pending >= _PART_ROWS:
            self._flush()
        return len(containers)

    def _flush(self) -> None:
        self._spool.add(pl.DataFrame(self._rows, schema=dict.fromkeys(self._fields, pl.String)))
        self._rows = {name: [] for name in self._fields}
        self._pending = 0

    def _scan(self) -> pl.LazyFrame:
        if not self._total:
            return pl.LazyFrame(schema=dict.fromkeys(self._fields, pl.String))
        return self._spool.scan()

    def _notice(self) -> None:
        """Say what matched nothing at all: a page that changed looks just like an empty one."""
        where = "the page" if len(self._settings.pages) == 1 else f"any of the {len(self._settings.pages)} pages"
        hint = "compare it with the page's source (content made by scripts is not there)"
        if not self._total:
            field = f"css_selectors.{CONTAINER}"
            text = f"'{self._container}' (container) matches nothing on {where}; {hint}"
            if any(f.required for f in self._fields.values()):
                raise self._permanent(text, field)
            self._ctx.warn("selector_matches_nothing", text, field=field)
            return
        for name, matched in self._matched.items():
            if not matched:
                shown = self._fields[name]
                said = f"{shown.selector}@{shown.attribute}" if shown.attribute else shown.selector
                self._ctx.warn(
                    "selector_matches_nothing",
                    f"'{said}' ({name}) matches nothing in any '{self._container}' on {where}; {hint}",
                    field=f"css_selectors.{name}",
                )

    def _permanent(self, text: str, field: str) -> errors.Permanent:
        return errors.Permanent(text, step=self._ctx.step, field=field)
