"""The URL of a Spark Connect server: ``sc://host:15002``, with options behind ``/;`` of which one may be a token."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

_FORM = "write sc://host:15002, or sc://host:443/;use_ssl=true;token=…"


def fault(url: str) -> str | None:
    """What is wrong with the URL; None if nothing is. It never repeats a part that may be secret."""
    server, *options = url.split(";")
    try:
        parts = urlsplit(server)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.scheme != "sc" or "@" in parts.netloc or parts.query or parts.fragment:
        return f"is not the URL of a Spark Connect server; {_FORM}"
    if parts.path not in (("/",) if options else ("", "/")):
        return f"has more than '/' between the host and its options; {_FORM}"
    for number, option in enumerate(filter(None, options), 1):
        name, _, value = option.partition("=")
        if not name or not value:
            return f"has an option (number {number}) that is not name=value; write %3B for ; in a value"
        if not (unquote(option).isascii() and unquote(option).isprintable()):
            return f"has an option (number {number}) with characters that no header may have"
    return None


def with_options(url: str, own: dict[str, str]) -> str:
    """The URL with options of ours instead of given ones. Letters that end a value for the client are encoded.

    A token in Base64 has some of these.
    """
    server, *given = url.split(";")
    pairs = dict(option.split("=", 1) for option in given if option) | own
    return f"{server.rstrip('/')}/;" + ";".join(f"{name}={quote(value, safe='%')}" for name, value in pairs.items())
