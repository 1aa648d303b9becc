"""What a document of markup is: HTML, or a kind of XML that an HTML parser would read wrongly."""

from __future__ import annotations

import codecs
import re

import msgspec

from service.collectors.source_file import utf8

_PROLOG = re.compile(rb"(?:\s|\xef\xbb\xbf|<\?.*?\?>|<!--.*?-->|<!(?!--)[^>\[]*(?:\[[^\]]*\]\s*)?>)*", re.DOTALL)
_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_DOCTYPE = re.compile(rb"<!doctype\s+html\b", re.IGNORECASE)
_XHTML = b"http://www.w3.org/1999/xhtml"
_LINKED = re.compile(rb"<link>[^<\s]|<link>\s*<!\[CDATA\[")
"""A link with a text inside, which HTML does not have: an HTML parser would lose the text."""
_LOOK = 4096
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8")
_KNOWN = {
    "rss": "an RSS feed (XML)", "feed": "an Atom feed (XML)", "rdf:rdf": "an RDF or RSS 1.0 document (XML)",
    "urlset": "a sitemap (XML)", "sitemapindex": "a sitemap index (XML)", "svg": "an SVG image (XML)",
    "opml": "an OPML outline (XML)", "kml": "a KML document (XML)", "gpx": "a GPX track (XML)",
    "envelope": "a SOAP envelope (XML)", "wsdl:definitions": "a WSDL description (XML)", "mediawiki": "a MediaWiki "
    "export (XML)", "oai-pmh": "an OAI-PMH answer (XML)", "plist": "a property list (XML)", "error": "an XML error "
    "document", "listbucketresult": "a bucket listing (XML)", "gml:featurecollection": "a GML document (XML)",
}  # fmt: skip


def xml(body: bytes, content_type: str = "") -> str | None:
    """The kind of XML that ``body`` is, in words; None for HTML (XHTML included) and for what is not markup."""
    head = _utf8(body[:65536])
    prolog = _PROLOG.match(head)
    rest = head[prolog.end() :] if prolog is not None else head
    root = _ROOT.match(rest)
    if root is None:
        return "XML" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml") else None
    name = root[1].decode("ascii", "replace")
    plain = name.lower().rpartition(":")[2] if name.lower() not in _KNOWN else name.lower()
    if plain == "html" or _DOCTYPE.search(head[: prolog.end() if prolog is not None else 0]):
        return None
    tag = rest[:_LOOK].partition(b">")[0]
    declared = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml")
    kind = content_type.partition(";")[0].strip().lower()
    typed = (kind.endswith(("/xml", "+xml"))) and kind != "application/xhtml+xml"
    foreign = (b"xmlns" in tag and _XHTML not in tag) or _LINKED.search(head) is not None
    known = plain in _KNOWN and (plain != "error" or declared or typed) and not (plain == "svg" and not declared)
    if known:
        return _KNOWN[plain]
    if (declared and _XHTML not in tag) or typed or (foreign and plain != "svg"):
        return f"XML with the root element <{name}>"
    return None


def _utf8(head: bytes) -> bytes:
    """The beginning of a body in UTF-8 if it has the mark of another width."""
    codec = utf8.bom_encoding(head)
    return head if codec is None else codecs.getincrementaldecoder(codec)("replace").decode(head).encode()


def binary(body: bytes) -> str | None:
    """What a body is that is not text, in words; None for text."""
    return "an image" if body.startswith(_IMAGES) else utf8.file_kind(body)


def foreign(body: bytes, content_type: str = "") -> str | None:
    """What a body is that an HTML parser must not read: XML, JSON, a PDF …, in words; None for HTML and plain text."""
    what = binary(body) or xml(body, content_type)
    if what is not None:
        return what
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        try:
            msgspec.json.decode(start, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return "JSON (read it with the api collector)"
    return None


def describe(body: bytes) -> str | None:
    """What a body of markup is, in words: a kind of XML or an HTML page; None for what is not markup."""
    what = xml(body)
    if what is not None:
        return what
    return "an HTML page" if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else None
