"""One page of HTML: its text in UTF-8, and columns of values by CSS selectors.

lexbor works on bytes, and a whole column costs one query: if a selector finds exactly one element in each container,
in order, the results are used as they are; otherwise each container is queried separately.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
"""A link that can be appended to its base without further resolution: no scheme and no dot segments."""
_ATTRIBUTE = re.compile(r"^(?P<selector>.*?)\s*@(?P<attribute>[A-Za-z_][\w.:-]*)$", re.DOTALL)
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_WIDER = {  # as browsers do: a declared encoding is read by the codec that extends it
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip
_SILENT = frozenset({
    "script", "style", "noscript", "template", "title", "desc", "metadata", "defs", "annotation", "annotation-xml",
    "rp", "iframe", "noframes", "noembed", "audio", "video", "canvas", "datalist", "head",
})  # fmt: skip
"""Elements whose text no browser shows: code, fallbacks, and the names of pictures and pages."""
_HIDES = (b"hidden", b"display", b"visibility", b"<dialog")
"""One of these is in each page that hides something, in lower case: an expression takes as long as the parser."""
_COMMENT = re.compile(r"/\*.*?(\*/|$)", re.DOTALL)
_HIDING = '[hidden], [style*="display" i], [style*="visibility" i], dialog:not([open])'
_APART = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav",
    "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
"""Elements that form a line or a cell, so that their text does not touch their neighbours' text."""

Value = str | list[str] | None


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of a column: the first element that matches inside the container, or all of them."""

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
    def text(self) -> str:
        """The short form: ``"h2 a@href"``."""
        return f"{self.selector}@{self.attribute}" if self.attribute else self.selector


def fault(selector: str) -> str | None:
    """What is wrong with a CSS selector, or None."""
    try:
        lexbor.LexborHTMLParser(b"<p>").css(selector)
    except lexbor.SelectolaxError:
        return "not a valid CSS selector"
    return None


def charset(body: bytes, content_type: str) -> str:
    """The Python codec of a page: by its byte order mark, the header, its ``meta`` element, else by its bytes.

    A page that declares nothing and is not UTF-8 is read as windows-1252, as browsers do.
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    declared = _CHARSET.search(content_type)
    found = _codec(declared[1]) if declared else None
    if found is not None:
        return found
    meta = _META.search(body[:4096])
    found = _codec(meta[1].decode("ascii", "replace")) if meta else None
    if found is not None:
        return (
            "utf-8" if found.startswith("utf-16") else found
        )  # the declaration is readable as ASCII, so the page is not UTF-16
    return "utf-8" if _is_utf8(body) else "cp1252"


def _codec(label: str) -> str | None:
    """The Python codec for an encoding label; None if it names no text encoding."""
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
    """The page in UTF-8, and its encoding if some bytes were invalid in it and became U+FFFD (else None)."""
    name = charset(body, content_type)
    try:
        text = body.decode(name)
    except UnicodeDecodeError:
        return body.decode(name, "replace").encode(), name
    return (body if name == "utf-8" else text.encode()), None


def hostile(body: bytes) -> str | None:
    """Why a page would keep the parser busy for minutes, or None: parse time is quadratic in both counts."""
    tags = body.count(b"<")
    if tags > MAX_OPEN:
        closed = body.count(b"</")
        if tags - 2 * closed > MAX_OPEN and len(_OPENED.findall(body)) - closed > MAX_OPEN:
            return f"more than {MAX_OPEN} of its elements stay open"
    half = _LONG // 2  # a tag that is longer covers at least one of these windows
    if all(body.find(b">", at, at + half) >= 0 for at in range(0, len(body) - half, half)):
        return None
    if any(len(m[0].split()) > MAX_ATTRIBUTES for m in _LONG_TAG.finditer(body)):
        return f"an element has more than {MAX_ATTRIBUTES} attributes"
    return None


@dataclass
class Page:
    """One parsed page. ``base`` is the base URL of links, ``torn`` the encoding if some bytes were invalid in it.

    ``hidden`` are the elements that it hides, ``left_out`` counts the rows among them that were not read.
    ``unmatched`` are the values of the newest ``column`` in which its pattern was not found.
    """

    tree: LexborHTMLParser
    base: str
    torn: str | None = None
    hidden: frozenset[int] = frozenset()
    left_out: int = 0
    unmatched: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Response, *, hides: bool = True) -> Page:
        """Parse an answer; ``hides``: what the page hides is not read."""
        content, torn = utf8(answer.body, answer.headers.get("content-type", ""))
        tree, lower = lexbor.LexborHTMLParser(content), content.lower()
        base = tree.css_first("base[href]") if b"<base" in lower else None
        own = answer.url if base is None else _joined(answer.url, base.attributes.get("href") or "")
        hiding = hides and any(word in lower for word in _HIDES)
        return cls(tree, own, torn, hidden_elements(tree) if hiding else frozenset())

    def shown(self, nodes: list[LexborNode], inside: LexborNode | None = None) -> list[LexborNode]:
        """``nodes`` without those that are hidden, themselves or by an element around them (``inside`` this one, if
        that is given); ``left_out`` counts these. If what is around them hides all of them, as a closed tab does, it
        does not count."""
        if not self.hidden:
            return nodes
        found = [node for node in nodes if not self._is_hidden(node, inside)]
        if not found and inside is None:
            found = [node for node in nodes if not self._is_hidden(node, node.parent)]
        self.left_out += len(nodes) - len(found)
        return found

    def is_out_of_the_flow(self, node: LexborNode) -> bool:
        """Whether an element is hidden and takes no place; one that is only invisible keeps it."""
        return node.mem_id in self.hidden and (
            "hidden" in node.attributes or _style(node).get("visibility") in (None, "visible")
        )

    def text(self, node: LexborNode) -> str:
        """The text of an element as a browser shows it; an element that is only invisible has none."""
        if self.hidden and node.mem_id in self.hidden and not self.is_out_of_the_flow(node):
            return ""
        return text(node, self.hidden)

    def link(self, field: Field) -> str | None:
        """The absolute URL of the link that a selector finds (``href`` unless it names another attribute), or None."""
        node = self.tree.css_first(field.selector)
        found = None if node is None else _attribute(node, field.attribute or "href")
        return urldefrag(_joined(self.base, found)).url if found else None

    def column(self, containers: list[LexborNode], field: Field, absolute: bool) -> list[Value]:
        """One value per container: text with collapsed spaces, or the attribute; None if missing."""
        self.unmatched = []
        if field.many:
            nodes = [self._visible(c.css(field.selector)) if field.selector else [c] for c in containers]
            return [[v for v in self._values(ns, field, absolute) if v is not None] for ns in nodes]
        found = self._nodes(containers, field.selector)
        if self.hidden and field.attribute is None and field.pattern is None:
            return [None if node is None else self.text(node) for node in found]
        return [*self._values(found, field, absolute)]

    def _values(self, nodes: Sequence[LexborNode | None], field: Field, absolute: bool) -> list[str | None]:
        """What the field takes of each node: links become absolute, a pattern keeps its part."""
        if field.attribute is None:
            found = [None if node is None else text(node, self.hidden) for node in nodes]
        else:
            found = [None if node is None else _attribute(node, field.attribute) for node in nodes]
        if absolute and field.attribute in ("href", "src"):
            found = [None if value is None else _joined(self.base, value) for value in found]
        return found if field.pattern is None else [self._matched(value, field.pattern) for value in found]

    def _matched(self, value: str | None, pattern: str) -> str | None:
        match = None if value is None else re.search(pattern, value)
        if match is None:
            self.unmatched += [value] if value else []
            return None
        return match[1 if match.re.groups else 0]

    def _nodes(self, containers: list[LexborNode], selector: str) -> Sequence[LexborNode | None]:
        if not selector:
            return containers
        found = self._visible(self.tree.css(selector))
        if len(found) == len(containers) and all(map(_inside, found, containers)):
            return found
        if not self.hidden:
            return _firsts(found, containers)
        return [next(iter(self._visible(c.css(selector))), None) for c in containers]

    def _visible(self, nodes: list[LexborNode]) -> list[LexborNode]:
        """The nodes that are shown; all of them if none is, since a selector may be meant for hidden ones."""
        if not self.hidden:
            return nodes
        return [node for node in nodes if not self._is_hidden(node)] or nodes

    def _is_hidden(self, node: LexborNode, until: LexborNode | None = None) -> bool:
        """Whether the page hides the element or one around it, ``until`` the one that does not count."""
        here: LexborNode | None = node
        while here is not None and (until is None or here.mem_id != until.mem_id):
            if here.mem_id in self.hidden:
                return True
            here = here.parent
        return False


def hidden_elements(tree: LexborHTMLParser) -> frozenset[int]:
    """The ``mem_id`` of each element that the page hides: by ``hidden``, its ``style``, or as a closed dialog."""
    return frozenset(node.mem_id for node in tree.css(_HIDING) if _hides(node))


def _hides(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes or (node.tag == "dialog" and "open" not in attributes):
        return True
    style = _style(node)
    return style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse")


def _style(node: LexborNode) -> dict[str, str]:
    """The declarations of an element's ``style``."""
    style: dict[str, str] = {}
    for declaration in _COMMENT.sub(" ", node.attributes.get("style") or "").lower().split(";"):
        name, _, value = declaration.partition(":")
        style[name.strip()] = value.replace("!important", "").strip()
    return style


def _attribute(node: LexborNode, name: str) -> str | None:
    attributes = node.attributes
    return (attributes[name] or "").strip() if name in attributes else None


def text(node: LexborNode, hidden: frozenset[int] = frozenset()) -> str:
    """The text of an element with collapsed spaces: blocks are separated; what no browser shows, and the ``hidden``
    elements inside it, are left out."""
    first = node.first_child
    if first is None:
        return ""
    if first.next is None and first.is_text_node:
        return " ".join((first.text_content or "").split())
    return " ".join("".join(_texts(first, hidden)).split())


def _texts(here: LexborNode | None, hidden: frozenset[int]) -> Iterator[str]:
    """The texts of a node, its descendants and its later siblings; with a stack, because pages can be deep."""
    around: list[LexborNode] = []
    while here is not None:
        inner = None
        if here.is_text_node:
            yield here.text()
        elif here.tag not in _SILENT and here.mem_id not in hidden:
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
    wanted = container.mem_id
    here: LexborNode | None = node
    while here is not None:
        if here.mem_id == wanted:
            return True
        here = here.parent
    return False


def _firsts(nodes: list[LexborNode], containers: list[LexborNode]) -> list[LexborNode | None]:
    """The first of the nodes in each container, or None; a selector finds the same in an element as in its page."""
    first: dict[int, LexborNode] = {}
    walked: set[int] = set()
    for node in nodes:
        here: LexborNode | None = node
        while here is not None and here.mem_id not in walked:  # what is around it has an earlier one
            walked.add(here.mem_id)
            first[here.mem_id] = node
            here = here.parent
    return [first.get(container.mem_id) for container in containers]


@functools.lru_cache(maxsize=256)
def _roots(base: str) -> tuple[str, str]:
    """The prefix for links that begin with a slash, and the prefix for other relative links."""
    return urljoin(base, "/")[:-1], urljoin(base, ".")


def _joined(base: str, url: str) -> str:
    try:
        if _PLAIN.fullmatch(url):  # most links; urljoin would take as long as parsing the page
            return _roots(base)[url[0] != "/"] + url
        return urljoin(base, url)
    except ValueError:
        return url
