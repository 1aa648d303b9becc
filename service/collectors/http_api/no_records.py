"""Answers without the path of the records: an empty result of a source that leaves the name out, or a wrong path."""

from __future__ import annotations

from typing import Any

from service.collectors.http_api import answer_errors, more_pages
from service.collectors.records.json_records import Document
from service.kit import errors

_DEPTH = 5


def is_empty(document: Document, path: str) -> bool:
    """Whether an answer that has nothing at ``path`` means that there are no records.

    It does not if there are other lists of objects in it, a name like the one that is missing, a total above zero or
    another sign of more, or if it consists of nothing but words, as an error does.
    """
    value = document.value
    if not isinstance(value, dict) or _has_records(value, _DEPTH):
        return False
    if answer_errors.is_message(document) or answer_errors.is_anywhere(value):
        return False
    here, rest = value, path
    while rest:  # the first name on the way that is missing
        name, _, rest = rest.partition(".")
        if name not in here:
            if errors.did_you_mean(name, here):
                return False
            break
        below = here[name]
        if not isinstance(below, dict):
            return below is None
        here = below
    return more_pages.sign(document, None, 0, "totals") is None


def _has_records(value: Any, depth: int) -> bool:
    """Whether there is an object in a list anywhere below."""
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in value)
    return depth > 0 and isinstance(value, dict) and any(_has_records(v, depth - 1) for v in value.values())
