"""One page of HTML: its text in UTF-8, and columns of values by CSS selectors.

lexbor works on bytes, and a whole column costs one query: where a selector finds exactly one element in each
container, in order, the answers are taken as they come; only else each container is asked by itself.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urldefrag, urljoin

import msgspec

from service.kit import lazy
from service.network.request import Response

if TYPE_CHECKING:
    from selectolax import lexbor
    from selectolax.lexbor import LexborHTMLParser, LexborNode
else:
    lexbor = lazy.module("selectolax.lexbor")

MAX_OPEN = 15_000
MAX_ATTRIBUTES = 5_000
_OPENED = re.compile(
    rb"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|li|p|td|th|tr|dt|dd|option)\b)[a-z]",
    re.IGNORECASE,
)
_LONG = 10_000
_LONG_TAG = re.compile(rb"<[a-zA-Z][^>]{%d,}" % _LONG)
_PLAIN = re.compile(r"/?(?:[\w%~+,=&@-]+(?:\.\w+)*/)*[\w%~+,=&@-]+(?:\.\w+)*/?(?:\?[\w%~+,=&@./-]+)?", re.ASCII)
"""A link that needs no more than to be put behind what it is relative to: no scheme, no dots that lead elsewhere."""
_ATTRIBUTE = re.compile(r"^(?P<selector>.*?)\s*@(?P<attribute>[A-Za-z_][\w.:-]*)$", re.DOTALL)
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WIDER = {  # what browsers read a page in that says so: the codec that has more characters
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip
_SILENT = frozenset({"script", "style"})
_APART = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav",
    "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
"""What stands on lines or in cells of its own, so that its text does not touch its neighbours'."""

Value = str | list[str] | None


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a column is taken from: the first element that matches inside the container, or all of them."""

    selector: Annotated[str, msgspec.Meta(max_length=1000, description="CSS selector; '' is the container.")] = ""
    attribute: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Take this attribute instead of the text."),
    ] = None
    many: Annotated[bool, msgspec.Meta(description="Take every match, as a list.")] = False
    pattern: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None,
        msgspec.Meta(
            description="Regular expression to find in the value: its first group (else the whole match) is kept."
        ),
    ] = None
    required: Annotated[bool, msgspec.Meta(description="A container without it fails the run.")] = False

    @classmethod
    def of(cls, value: str | Field) -> Field:
        """The long form of a field: ``"h2 a@href"`` takes an attribute."""
        if isinstance(value, Field):
            return value
        match = _ATTRIBUTE.match(value)
        return cls(selector=match["selector"], attribute=match["attribute"]) if match else cls(selector=value.strip())

    @property
    def said(self) -> str:
        """As a user would write it."""
        return f"{self.selector}@{self.attribute}" if self.attribute else self.selector


def fault(selector: str) -> str | None:
    """What is wrong with a CSS selector, or None."""
    try:
        lexbor.LexborHTMLParser(b"<p>").css(selector)
    except lexbor.SelectolaxError:
        return "not a CSS selector that can be read"
    return None


def charset(body: bytes, content_type: str) -> str:
    """The Python codec of a page: by its byte order mark, the header, the page's own word, else by its bytes.

    A page that says nothing and is not UTF-8 is taken for windows-1252, as browsers do.
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    said = _CHARSET.search(content_type)
    found = _codec(said[1]) if said else None
    if found is not None:
        return found
    meta = _META.search(body[:4096])
    found = _codec(meta[1].decode("ascii", "replace")) if meta else None
    if found is not None:
        return "utf-8" if found.startswith("utf-16") else found  # it could say so in ASCII, so it is not in UTF-16
    return "utf-8" if _is_utf8(body) else "cp1252"


def _codec(label: str) -> str | None:
    """The Python codec of an encoding that a page may name; None where there is no such encoding of text."""
    try:
        name = codecs.lookup(label).name
        b"\xe9".decode(name, "replace")
    except (LookupError, UnicodeError):
        return None
    return _WIDER.get(name, name)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def utf8(body: bytes, content_type: str) -> tuple[bytes, str | None]:
    """The page in UTF-8, whatever it came in; and its encoding, where bytes are none of it and became U+FFFD."""
    name = charset(body, content_type)
    try:
        text = body.decode(name)
    except UnicodeDecodeError:
        return body.decode(name, "replace").encode(), name
    return (body if name == "utf-8" else text.encode()), None


def hostile(body: bytes) -> str | None:
    """Why a page would keep the parser busy for minutes, or None: its time grows with the square of both."""
    closed = body.count(b"</")
    if body.count(b"<") - 2 * closed > MAX_OPEN and len(_OPENED.findall(body)) - closed > MAX_OPEN:
        return f"more than {MAX_OPEN} of its elements stay open"
    half = _LONG // 2  # whatever is longer than that covers one of these whole
    if all(body.find(b">", at, at + half) >= 0 for at in range(0, len(body) - half, half)):
        return None
    if any(len(m[0].split()) > MAX_ATTRIBUTES for m in _LONG_TAG.finditer(body)):
        return f"an element has more than {MAX_ATTRIBUTES} attributes"
    return None


@dataclass(frozen=True)
class Page:
    """One parsed page. ``base`` is what its links are relative to, ``torn`` its encoding where it is not all of it."""

    tree: LexborHTMLParser
    base: str
    torn: str | None = None

    @classmethod
    def of(cls, answer: Response) -> Page:
        content, torn = utf8(answer.body, answer.headers.get("content-type", ""))
        tree = lexbor.LexborHTMLParser(content)
        base = tree.css_first("base[href]")
        own = answer.url if base is None else _joined(answer.url, base.attributes.get("href") or "")
        return cls(tree, own, torn)

    def link(self, field: Field) -> str | None:
        """The absolute URL that a selector leads to (its ``href`` unless another attribute is named), or None."""
        node = self.tree.css_first(field.selector)
        found = _value(node, field.attribute or "href")
        return urldefrag(_joined(self.base, found)).url if found else None

    def column(self, containers: list[LexborNode], field: Field, absolute: bool) -> list[Value]:
        """One value for each container: text with its spaces collapsed, or the attribute; None where missing."""
        if field.many:
            nodes = [c.css(field.selector) if field.selector else [c] for c in containers]
            return [[v for n in ns if (v := self._shown(n, field, absolute)) is not None] for ns in nodes]
        found = self._nodes(containers, field.selector)
        if field.attribute is None and field.pattern is None:
            return [None if n is None else text(n) for n in found]
        return [self._shown(n, field, absolute) for n in found]

    def _shown(self, node: LexborNode | None, field: Field, absolute: bool) -> str | None:
        value = _value(node, field.attribute)
        if value is None:
            return None
        if absolute and field.attribute in ("href", "src"):
            value = _joined(self.base, value)
        if field.pattern is None:
            return value
        match = re.search(field.pattern, value)
        return match[1 if match.re.groups else 0] if match else None

    def _nodes(self, containers: list[LexborNode], selector: str) -> Iterable[LexborNode | None]:
        if not selector:
            return containers
        found = self.tree.css(selector)
        if len(found) == len(containers) and all(map(_inside, found, containers)):
            return found
        return [c.css_first(selector) for c in containers]


def _value(node: LexborNode | None, attribute: str | None) -> str | None:
    if node is None:
        return None
    if attribute is None:
        return text(node)
    attributes = node.attributes
    return (attributes[attribute] or "").strip() if attribute in attributes else None


def text(node: LexborNode) -> str:
    """What an element says, its spaces collapsed: lines and blocks apart, without the scripts and styles inside it."""
    first = node.first_child
    if first is None:
        return ""
    if first.next is None and first.is_text_node:
        return " ".join((first.text_content or "").split())
    return " ".join("".join(_said(first)).split())


def _said(here: LexborNode | None) -> Iterator[str]:
    """The texts of a node, of what is inside it, and of its later siblings; a stack, because pages can be deep."""
    around: list[LexborNode] = []
    while here is not None:
        inner = None
        if here.is_text_node:
            yield here.text()
        elif here.tag not in _SILENT:
            inner = here.first_child
            if here.tag in _APART:
                yield " "
        if inner is not None:
            around.append(here)
            here = inner
            continue
        while here.next is None and around:
            here = around.pop()
            if here.tag in _APART:
                yield " "
        here = here.next


def _inside(node: LexborNode, container: LexborNode) -> bool:
    here: LexborNode | None = node
    while here is not None:
        if here.mem_id == container.mem_id:
            return True
        here = here.parent
    return False


@functools.lru_cache(maxsize=256)
def _roots(base: str) -> tuple[str, str]:
    """What links are put behind that begin with a slash, and what the others."""
    return urljoin(base, "/")[:-1], urljoin(base, ".")


def _joined(base: str, url: str) -> str:
    try:
        if _PLAIN.fullmatch(url):  # most links; the whole way takes as long as parsing the page
            return _roots(base)[url[0] != "/"] + url
        return urljoin(base, url)
    except ValueError:
        return url
