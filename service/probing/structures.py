"""Repeated structures in an HTML page, with the selectors for a web collector.

Elements of one kind (a tag and a class, or the children of one parent) that occur three times or more are candidates
for rows. A field is whatever most of them contain: their own text, a link, an image, a time. Each field's selector is
checked by its result, and a field with the values of another one is left out. Structures with the most content in the
most fields come first; menus, which hold only links, come last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from service.collectors.html import page as markup
from service.collectors.html import tables
from service.collectors.html.page import Field, Page, Value
from service.probing.finding import HtmlTable, Structure

MOST = 5
MOST_TABLES = 20
SHOWN_ROWS = 5
_LEAST = 3
_JUDGED = 25
_LOOKED_AT = 40
_FIELDS = 15
_COVERAGE = 0.6
_ELEMENTS = 30_000
_SELECTORS = 150
_CUT = 200
_NO_ROWS = frozenset({
    "html", "head", "body", "script", "style", "link", "meta", "tr", "td", "th", "thead", "tbody", "tfoot", "col",
    "colgroup", "option", "br", "hr", "path", "svg", "g", "use", "source", "input", "span", "em", "strong", "b", "i",
    "code", "pre", "img", "figure", "picture", "button", "label", "template", "noscript", "wbr", "sup", "sub", "small",
})  # fmt: skip
_NO_FIELDS = frozenset({"script", "style", "svg", "path", "noscript", "template", "button", "option", "br", "hr"})
_IDENTIFIER = re.compile(r"-?[A-Za-z_][\w-]*")
_NEXT_WORDS = ("Next page", "Next", "next", "Older", "older", "»", "›", "→")


def found_tables(page: Page) -> list[HtmlTable]:
    """The tables with two columns or more, the largest first."""
    found: list[tuple[int, HtmlTable]] = []
    for node in page.tree.css("table")[:MOST_TABLES]:
        names, data = tables.read(node, page)
        if len(names) < 2 or not data:
            continue
        sample = [dict(zip(names, map(_cut, row), strict=True)) for row in data[:SHOWN_ROWS]]
        table = HtmlTable(selector=_address(page.tree, node), columns=names, rows=len(data), sample=sample)
        found.append((len(data) * len(names), table))
    return [table for _, table in sorted(found, key=lambda f: -f[0])]


def found_structures(page: Page) -> list[Structure]:
    """The repeated structures, the one with the most content first."""
    judged: list[tuple[float, list[LexborNode], Structure]] = []
    for selector, nodes in _candidates(page.tree):
        fields = _fields(page, nodes)
        if not fields:
            continue
        columns = {name: page.column(nodes, field, absolute=True) for name, field in fields.items()}
        worth = _worth(columns, len(nodes))
        written = {name: _written(field) for name, field in fields.items()}
        structure = Structure(
            css_selectors={"container": selector, **written}, rows=len(nodes),
            sample=[{n: _cut(c[i]) for n, c in columns.items()} for i in range(min(SHOWN_ROWS, len(nodes)))],
        )  # fmt: skip
        judged.append((worth, nodes, structure))
    judged.sort(key=lambda j: -j[0])
    kept: list[tuple[list[LexborNode], Structure]] = []
    for _, nodes, structure in judged:
        if not any(_same_rows(nodes, others) for others, _ in kept):
            kept.append((nodes, structure))
        if len(kept) == MOST:
            break
    return [structure for _, structure in kept]


def _same_rows(nodes: list[LexborNode], others: list[LexborNode]) -> bool:
    """Whether each row of one lies inside the corresponding row of the other."""
    if len(nodes) != len(others):
        return False
    ids, outer = {n.mem_id for n in nodes}, {n.mem_id for n in others}
    looked = [*zip(nodes, others, strict=True)][:_LOOKED_AT]
    return all(_within(n, outer) or _within(o, ids) or n.mem_id == o.mem_id for n, o in looked)


def worth_of(structure: Structure) -> float:
    """The content of a structure, comparable with ``rows * columns`` of a table."""
    return float(structure.rows * (len(structure.css_selectors) - 1))


def next_links(page: Page, url: str) -> Iterator[tuple[str, str]]:
    """Selectors that could lead to the next page, with the addresses they lead to."""
    words = [f'a:lexbor-contains("{word}")' for word in _NEXT_WORDS]
    selectors = ('a[rel~="next"]', 'link[rel~="next"]', "li.next a", "a.next", ".next a", ".pagination-next a",
                 "a.next-page", 'a[aria-label^="Next" i]', 'a[title^="Next" i]', *words)  # fmt: skip
    seen = {url}
    for selector in selectors:
        try:
            address = page.link(Field(selector=selector))
        except SelectolaxError:
            continue
        if address and address not in seen and address.startswith(("http://", "https://")):
            seen.add(address)
            yield selector, address


def _candidates(tree: LexborHTMLParser) -> list[tuple[str, list[LexborNode]]]:
    """Selectors that match several elements which do not contain each other, those with the most content first."""
    counts: Counter[str] = Counter()
    parents: Counter[tuple[str, str]] = Counter()
    body = tree.body
    for number, node in enumerate(_elements(body)):
        if number > _ELEMENTS:
            break
        if node.tag in _NO_ROWS:
            continue
        counts.update(f"{node.tag}.{name}" for name in _classes(node))
        parent = node.parent
        if parent is not None:
            above = f"{parent.tag}#{parent.id}" if _plain(parent.id) else ".".join((str(parent.tag), *_classes(parent)))
            parents[above, str(node.tag)] += 1
    selectors = [s for s, n in counts.most_common(_SELECTORS) if n >= _LEAST]
    selectors += [f"{above} > {tag}" for (above, tag), n in parents.most_common(_SELECTORS) if n >= _LEAST]
    found = []
    for selector in selectors:
        nodes = tree.css(selector)
        ids = {n.mem_id for n in nodes}
        if len(nodes) < _LEAST or any(_within(n, ids) for n in nodes[:_LOOKED_AT]):
            continue
        length = sum(min(len(markup.text(n)), 1000) for n in nodes[:_LOOKED_AT]) / min(len(nodes), _LOOKED_AT)
        inside = sum(len(n.css("*")) for n in nodes[:5]) / len(nodes[:5])
        found.append((len(nodes) ** 0.5 * min(length, 400) * min(inside, 30), selector, nodes))
    found.sort(key=lambda f: (-f[0], len(f[1])))
    return [(selector, nodes) for _, selector, nodes in found[:_JUDGED]]


def _elements(node: LexborNode | None) -> Iterator[LexborNode]:
    """The elements below ``node``, in document order; with a stack, because pages can be deep."""
    pending = [node] if node is not None else []
    while pending:
        here = pending.pop()
        yield here
        pending.extend(reversed(list(here.iter())))


def _fields(page: Page, nodes: list[LexborNode]) -> dict[str, Field]:
    looked = nodes[:_LOOKED_AT]
    covered: Counter[tuple[str, str | None]] = Counter()
    several: Counter[tuple[str, str | None]] = Counter()
    for node in looked:
        keys = Counter(_keys(node))
        covered.update(dict.fromkeys(keys, 1))
        several.update({key: n for key, n in keys.items() if n > 1})
    fields: dict[str, Field] = {}
    taken: list[list[Value]] = []
    for (selector, attribute), number in covered.items():
        if number < max(2.0, _COVERAGE * len(looked)) or len(fields) >= _FIELDS:
            continue
        key = selector, attribute
        many = several[key] > number and attribute is None
        field = Field(selector=selector, attribute=attribute, many=many)
        values = page.column(looked, field, absolute=True)
        full = [v for v in values if v]
        if len(full) < _COVERAGE * len(looked) or values in taken:
            continue
        taken.append(values)
        fields[_name(field, fields)] = field
    return fields


def _keys(container: LexborNode) -> Iterable[tuple[str, str | None]]:
    """The contents of a container: relative selectors, each with an attribute, or None for the text."""
    own = container.attributes
    for attribute in own:
        if attribute.startswith("data-") and _IDENTIFIER.fullmatch(attribute) and own[attribute]:
            yield "", attribute
    if container.tag == "a" and own.get("href"):
        yield "", "href"
    if _has_own_text(container):
        yield "", None
    pending: list[tuple[LexborNode, str]] = [(n, "") for n in reversed(list(container.iter()))]
    while pending:
        node, above = pending.pop()
        if node.tag in _NO_FIELDS:
            continue
        step = _step(node)
        selector = step if "." in step or "[" in step else f"{above} {step}".strip()
        attributes = node.attributes
        if node.tag == "a" and attributes.get("href"):
            yield selector, "href"
        if node.tag == "img":
            yield from ((selector, name) for name in ("src", "alt") if attributes.get(name))
        for name in ("datetime", "content", "title"):
            if attributes.get(name):
                yield selector, name
        if _has_own_text(node):
            yield selector, None
        pending.extend((n, step) for n in reversed(list(node.iter())))


def _has_own_text(node: LexborNode) -> bool:
    """Whether the element has text of its own, not only that of elements inside it."""
    return any(n.tag == "-text" and n.text().strip() for n in node.iter(include_text=True))


def _step(node: LexborNode) -> str:
    prop = node.attributes.get("itemprop")
    if prop and _plain(prop):
        return f'{node.tag}[itemprop="{prop}"]'
    return ".".join([str(node.tag), *_classes(node)[:2]])


def _classes(node: LexborNode) -> list[str]:
    names = (node.attributes.get("class") or "").split()
    return [name for name in names if _plain(name) and not re.search(r"\d{3,}|^(odd|even|first|last|active)$", name)]


def _plain(name: str | None) -> bool:
    return bool(name and _IDENTIFIER.fullmatch(name) and len(name) <= 60)


def _within(node: LexborNode, ids: set[int]) -> bool:
    here = node.parent
    while here is not None:
        if here.mem_id in ids:
            return True
        here = here.parent
    return False


def _name(field: Field, taken: dict[str, Field]) -> str:
    last = field.selector.rpartition(" ")[2]
    prop = re.search(r'itemprop="([^"]+)"', last)
    classes = last.split(".")[1:]
    usual = {"a": "link", "img": "image", "p": "text", "time": "time", "": "text", "div": "text", "span": "text"}
    tag = last.split(".")[0]
    base = (
        prop[1] if prop else classes[0] if classes else "title" if re.fullmatch(r"h[1-6]", tag) else usual.get(tag, tag)
    )
    if field.attribute is not None:
        extra = field.attribute.removeprefix("data-")
        base = extra if not field.selector and extra != "href" else base if extra in ("src", "datetime") else (
            "link" if base in ("link", "text") and extra == "href" else f"{base}_{'link' if extra == 'href' else extra}"
        )  # fmt: skip
    elif base == "link":
        base = "link_text"
    base = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", base)).strip("_").lower() or "text"
    base = "container_text" if base == "container" else base
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _written(field: Field) -> Any:
    """The field in its short form if it has one."""
    if field.many or (not field.selector and field.attribute is None):
        return {k: v for k, v in (("selector", field.selector), ("many", field.many)) if v or k == "selector"}
    return field.text


def _worth(columns: dict[str, list[Value]], rows: int) -> float:
    """The content of the fields: by the share of rows, the distinct values and their length."""
    total = 0.0
    for values in columns.values():
        full = [str(v) for v in values if v]
        different = len(set(full)) / len(full) if full else 0.0
        length = sum(min(len(v), 100) for v in full) / len(full) if full else 0.0
        total += len(full) / rows * (0.2 + different) * min(1.0, length / 12 + 0.2)
    return float(min(rows, 200) ** 0.5 * total**1.5)


def _address(tree: LexborHTMLParser, node: LexborNode) -> str:
    """A selector that finds only this element."""
    tag = str(node.tag)
    own = [f"{tag}#{node.id}"] if _plain(node.id) else []
    classes = [name for name in (node.attributes.get("class") or "").split() if _plain(name)]
    own += [f"{tag}.{name}" for name in classes] + ([".".join([tag, *classes])] if len(classes) > 1 else []) + [tag]
    for selector in own:
        if len(tree.css(selector)) == 1:
            return selector
    steps: list[str] = []
    here: LexborNode | None = node
    while here is not None and here.tag not in ("html", "-undef"):
        if _plain(here.id):
            steps.append(f"{here.tag}#{here.id}")
        else:
            steps.append(f"{here.tag}:nth-of-type({_place(here)})")
        selector = " > ".join(reversed(steps))
        if len(tree.css(selector)) == 1:
            return selector
        here = here.parent
    return " > ".join(reversed(steps))


def _place(node: LexborNode) -> int:
    place, before = 1, node.prev
    while before is not None:
        place += before.tag == node.tag
        before = before.prev
    return place


def _cut(value: Value) -> Value:
    if isinstance(value, list):
        return [v[:_CUT] for v in value[:SHOWN_ROWS]]
    return value if value is None or len(value) <= _CUT else f"{value[:_CUT]}…"
