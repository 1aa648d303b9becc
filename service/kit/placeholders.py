"""``${NAME}`` in a configuration: replaced by a secret at run time; the secret is never shown."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from service.kit import errors

PATTERN = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
MASK = "***"
_SHORTEST = 4
_PART = 6
_BETWEEN = re.compile(r"[/?#@:\\]")
_END = re.compile(r"\s*(?:…|\.\.\.|$)")
"""Where an excerpt ends."""
_CUT = re.compile(rf"(?:(?:%[0-9A-Fa-f]{{2}}){{0,3}}(?:%[0-9A-Fa-f]?)?|\\(?:u[0-9A-Fa-f]{{0,3}})?){_END.pattern}")
"""The same after what is left of an escape that is cut, too."""


def names(text: str) -> set[str]:
    """The names of the secrets in ``text``."""
    return set(PATTERN.findall(text))


def fill(text: str, known: Mapping[str, str], step: str) -> str:
    """``text`` with the values of its secrets. Raises ``errors.Permanent`` for the first without a value."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            raise errors.Permanent(
                f"the secret {name} is not configured; set PENSTOCK_SECRET_{name} where the service runs",
                step=step,
            )
        return known[name]

    return PATTERN.sub(value, text)


def fill_all(value: Any, known: Mapping[str, str], step: str) -> Any:
    """``fill`` for every string in lists and dicts."""
    if isinstance(value, str):
        return fill(value, known, step)
    if isinstance(value, Mapping):
        return {k: fill_all(v, known, step) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [fill_all(v, known, step) for v in value]
    return value


def mask(text: str, values: Iterable[str]) -> str:
    """``text`` without any of the secret values, however they are written.

    A value is also found in other case (the name system lower-cases hosts), percent-encoded, with JSON escapes, and
    inside base64, as ``Basic`` authentication has it. At the end of the text and before ``…`` the first letters of a
    value are enough: an excerpt may cut it in two. So are the parts (of 6 letters or more) into which the characters
    between the parts of a URL divide it: of a secret in place of a host, errors may name one. Fewer than 4 letters are
    not masked.
    """
    lower = text.lower()
    readings = [lower, *([unquote(lower).lower(), unquote_plus(lower).lower()] if "%" in text or "+" in text else [])]
    every = {v for value in values for v in (value, *_parts(value)) if len(v) >= _SHORTEST}
    longest_first = sorted(every, key=len, reverse=True)  # leaves no tail of one
    for value in longest_first:
        if any(value.lower() in reading for reading in readings) or any(form in lower for form in _encoded(value)):
            text = _pattern(value).sub(MASK, text)
    for value in longest_first:
        begins = value[:_SHORTEST].lower()
        if any(begins in reading for reading in readings) or any(f[:_SHORTEST] in lower for f in _encoded(value)):
            for spelling in _spellings(value):
                text = spelling.without(text)
    return text


@functools.lru_cache(maxsize=256)
def _parts(value: str) -> tuple[str, ...]:
    """The parts of a value that could be the host of a URL with it."""
    return tuple(part for part in _BETWEEN.split(value) if len(part) >= _PART)


@dataclass(frozen=True)
class _Spelling:
    """How a secret may be spelled: where it may begin, and its letters, each as the patterns of its forms."""

    begin: re.Pattern[str]
    letters: tuple[tuple[re.Pattern[str], ...], ...]

    @classmethod
    def of(cls, letters: Iterable[list[str]], flags: re.RegexFlag) -> _Spelling:
        forms = [*letters]
        begin = "".join(f"(?:{'|'.join(letter)})" for letter in forms[:_SHORTEST])
        compiled = tuple(tuple(re.compile(form, flags) for form in letter) for letter in forms)
        return cls(re.compile(f"(?={begin})", flags), compiled)

    def is_cut(self, text: str, start: int) -> bool:
        """Whether an excerpt ends inside of the secret that begins at ``start``."""
        reached = {start}
        for number, forms in enumerate(self.letters):
            if number >= _SHORTEST and any(_CUT.match(text, place) for place in reached):
                return True
            found = [form.match(text, place) for place in reached for form in forms]
            reached = {match.end() for match in found if match is not None}
        return False

    def without(self, text: str) -> str:
        """``text`` with the mask where an excerpt ends inside of the secret."""
        shown, after = [], 0
        for found in self.begin.finditer(text):
            if found.start() >= after and self.is_cut(text, found.start()):
                shown += [text[after : found.start()], MASK]
                after = _END.search(text, found.start()).start()  # type: ignore[union-attr]
        return "".join([*shown, text[after:]])


@functools.lru_cache(maxsize=256)
def _spellings(value: str) -> tuple[_Spelling, ...]:
    """The spellings of a value: its letters in any form, and its base64 forms."""
    encoded = (_Spelling.of([[re.escape(letter)] for letter in form], re.NOFLAG) for form in _base64_forms(value))
    return (_Spelling.of(map(_forms_of_letter, value), re.IGNORECASE), *encoded)


@functools.lru_cache(maxsize=256)
def _encoded(value: str) -> tuple[str, ...]:
    """The lower-case forms of a value that are neither the value nor percent-encoded."""
    escaped = {json.dumps(value, ensure_ascii=ascii_only)[1:-1].lower() for ascii_only in (True, False)}
    return (*escaped, *(form.lower() for form in _base64_forms(value)))


@functools.lru_cache(maxsize=256)
def _pattern(value: str) -> re.Pattern[str]:
    """What finds any form of a value. It is slow on long texts, so that only texts with the value are searched."""
    letters = "".join(f"(?:{'|'.join(_forms_of_letter(letter))})" for letter in value)
    forms = [letters, *map(re.escape, _base64_forms(value))]
    return re.compile("|".join(forms), re.IGNORECASE)


def _forms_of_letter(letter: str) -> list[str]:
    """Patterns for one letter: itself, percent-encoded (a space also as ``+``), or as JSON escapes it."""
    encoded = letter.encode("utf-8", "surrogatepass")
    forms = [re.escape(letter), "".join(f"%{byte:02X}" for byte in encoded)]
    if letter == " ":
        forms.append("[+]")
    if not letter.isalnum():
        forms += [re.escape(json.dumps(letter)[1:-1]), rf"\\u{ord(letter) & 0xFFFF:04x}"]
    elif not letter.isascii():
        forms.append(re.escape(json.dumps(letter)[1:-1]))
    return list(dict.fromkeys(forms))


def _base64_forms(value: str) -> Iterable[str]:
    """The letters that base64 has for ``value`` at each of its three places in a text, in both alphabets."""
    for before in range(3):
        content = b"\0" * before + value.encode("utf-8", "surrogatepass")
        whole = base64.b64encode(content).decode().rstrip("=")
        # the first letters also hold bits of what precedes, the last ones of what follows
        inner = whole[(0, 2, 3)[before] : len(content) * 8 // 6]
        if len(inner) >= _SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
