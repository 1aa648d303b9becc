"""Errors that an answer with status 200 reports in its JSON: GraphQL ``errors``, ``{"ok": false, "error": …}`` and the
like, with the source's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from service.collectors.records.json_records import WHOLE, Document
from service.collectors.records.unusable import Unusable

_SHOWN = 300
_ERRORS = frozenset({"error", "errors", "exception", "fault", "faults", "errormessage", "errormsg", "errordescription",
                     "errormessages", "errordetail", "errordetails", "failures"})  # fmt: skip
_FLAGS = frozenset({"iserror", "haserror", "haserrors", "failed", "timedout"})
_RETURNED = frozenset({"code", "retcode", "returncode", "ret", "resultcode", "statuscode", "rc"})
_NOTHING = re.compile(r"\b(no|not|empty|zero|nothing|success\w*|ok)\b", re.IGNORECASE)
_CODES = frozenset({"errorcode", "errcode", "errno"})
_SUCCESS = frozenset({"ok", "success", "successful", "succeeded", "issuccess", "issuccessful", "response"})
_STATUS = frozenset({"status", "stat", "state", "result"})
_HTTP = frozenset({"status", "statuscode", "httpstatus", "code"})
_BAD = frozenset({"error", "fail", "failure", "err"})
_GOOD = frozenset({"0", "00000", "200", "ok", "none", "null", "no error", "noerror", "success", "false", "no"})
_WORDS = ("message", "msg", "errmsg", "errormsg", "detail", "title", "reason", "description", "error_description",
          "error_message", "faultstring", "text", "info", "error", "code", "type", "status")  # fmt: skip
_SAYS = frozenset({"message", "msg", "detail", "reason", "title"}) | _ERRORS
_ENVELOPE = _ERRORS | _FLAGS | _CODES | _SUCCESS | frozenset(
    {"status", "stat", "message", "msg", "code", "type", "title", "detail", "reason", "requestid", "traceid",
     "timestamp", "path", "instance", "documentationurl", "warning", "needed", "provided", "extensions", "data"}
)  # fmt: skip


def reported(document: Document, path: str | None) -> str | None:
    """The error that an answer reports, in the source's own words; None if it reports none.

    ``path`` is that of the records: what they hold is data. An answer that is a record itself counts only if it has
    nothing but the parts of an error.
    """
    if not document.is_object:
        return None
    names = {name: _plain(name) for name in document.keys}
    here = (path or "").partition(".")[0]
    if path == WHOLE and not names.keys() <= {n for n, plain in names.items() if plain in _ENVELOPE}:
        return None
    found = {n: plain for n, plain in names.items() if n != here or path == WHOLE}
    for name, plain in found.items():
        if plain in _ERRORS | _FLAGS | _CODES and _is_error(document, name, plain):
            value = document.at_json(name)
            beside = _first_words(document, [n for n in found if n != name])
            own = "" if plain in _FLAGS or value is True else _words(value)
            if own and plain not in _CODES:
                return _cut(own)
            return _cut(" ".join(filter(None, (name, own))) + (f": {beside}" if beside else ""))
    shards = document.at_json("_shards") if "_shards" in found else None
    if isinstance(shards, dict) and shards.get("failed"):
        return _cut(f"_shards.failed is {shards['failed']}: {_words(shards.get('failures'))}".rstrip(": "))
    for name, plain in found.items():
        value = document.at_json(name) if plain in _SUCCESS | _STATUS | _HTTP else None
        failed = plain in _SUCCESS and (value is False or (isinstance(value, str) and value.lower() == "false"))
        if not failed and plain in _STATUS:
            bad = isinstance(value, str) and value.strip().lower() in _BAD
            failed = bad and (_has_words(found) or not _has_records(document, path))
        if not failed and plain in _HTTP and isinstance(value, int) and 400 <= value < 600:
            failed = _has_words({n: p for n, p in found.items() if n != name}) and not _has_records(document, path)
        if failed:
            words = _first_words(document, [n for n in found if n != name])
            return _cut(f"{name} is {msgspec.json.encode(value).decode()}{f': {words}' if words else ''}")
    return _returned(document, found, path)


def _returned(document: Document, found: dict[str, str], path: str | None) -> str | None:
    """The error of a code other than zero with words and without records: ``{"code": 40001, "msg": …}``."""
    for name, plain in found.items():
        value = document.at_json(name) if plain in _RETURNED else None
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if type(number) is not int or number in (0, 1, 200) or 200 <= number < 300:
            continue
        words = _first_words(document, [n for n in found if n != name])
        if words and words != str(value) and not _NOTHING.search(words) and not _has_records(document, path):
            return _cut(f"{name} is {_json(value)}: {words}")
    return None


def is_anywhere(value: Any, depth: int = 3) -> bool:
    """Whether a part of an answer reports an error, at any of the first levels: ``{"meta": {"code": 400, …}}``."""
    if not isinstance(value, dict):
        return False
    for name, item in value.items():
        plain = _plain(name)
        failed = plain in _SUCCESS and item is False
        if failed or (plain in _HTTP and type(item) is int and 400 <= item < 600):
            return True
        if plain in _ERRORS | _FLAGS | _CODES and _any_error(item) and not (plain in _FLAGS and item is not True):
            return True
        if depth > 1 and is_anywhere(item, depth - 1):
            return True
    return False


def is_message(document: Document) -> bool:
    """Whether an answer consists of nothing but the parts of an error, some of them words, or of one or two texts."""
    values = [document.at_json(name) for name in document.keys[:3]]
    if 0 < len(values) < 3 and all(isinstance(v, str) for v in values) and any(" " in str(v).strip() for v in values):
        return True
    names = {name: _plain(name) for name in document.keys}
    words = any(plain in _SAYS and isinstance(document.at_json(n), str) for n, plain in names.items())
    return words and set(names.values()) <= _ENVELOPE


def _is_error(document: Document, name: str, plain: str) -> bool:
    value = document.at_json(name)
    if plain in _FLAGS:
        return value is True
    if isinstance(value, str):
        return bool(value.strip()) and value.strip().lower() not in _GOOD
    if isinstance(value, dict):  # {"code": 0, "message": ""} is how some sources say that there is none
        return any(_any_error(v) for v in value.values())
    return bool(value)


def _any_error(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and value.strip().lower() not in _GOOD
    return bool(value) and value != 200


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _has_words(names: dict[str, str]) -> bool:
    return any(plain in ("message", "msg", "reason", "detail", "code") or plain in _ERRORS for plain in names.values())


def _has_records(document: Document, path: str | None) -> bool:
    try:
        where = path or document.path()
        return bool(document.records(where))
    except Unusable:
        return False


def _first_words(document: Document, names: list[str]) -> str:
    plain = {_plain(n): n for n in names}
    for word in _WORDS:
        name = plain.get(_plain(word))
        if name is not None and (words := _words(document.at_json(name))):
            return words
    return ""


def _words(value: Any) -> str:
    """The message of an error; of several errors the first ones."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        every = [words for words in map(_words, value) if words]
        more = f" (and {len(every) - 3} more)" if len(every) > 3 else ""
        return "; ".join(every[:3]) + more
    if isinstance(value, dict):
        texts = [*_texts(value)]
        return ": ".join(dict.fromkeys(texts[:2])) or _json(value)
    return "" if value in (None, True, False) else _json(value)


def _texts(value: dict[str, Any]) -> Iterator[str]:
    lower = {key.lower(): item for key, item in value.items()}
    for word in _WORDS:
        item = lower.get(word)
        if isinstance(item, str) and item.strip():
            yield " ".join(item.split())
        elif isinstance(item, dict | list) and (words := _words(item)):
            yield words


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
