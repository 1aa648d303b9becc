"""``${NAME}`` in a configuration: replaced by a secret at run time; the secret is never shown."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterable, Mapping

from service.kit import errors

PATTERN = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
MASK = "***"
_SHORTEST = 4


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


def mask(text: str, values: Iterable[str]) -> str:
    """``text`` without any of the secret values, however they are written.

    A value is also found in other case (the name system lower-cases hosts), percent-encoded, with JSON escapes, and
    inside base64, as ``Basic`` authentication has it. Values of fewer than 4 letters are not masked.
    """
    pattern = _pattern(tuple(sorted({v for v in values if len(v) >= _SHORTEST})))
    return text if pattern is None else pattern.sub(MASK, text)


@functools.lru_cache(maxsize=16)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    """What finds any form of the values; the longest first, so that no tail of one is left."""
    longest = sorted(values, key=len, reverse=True)
    forms = ["".join(map(_forms_of_letter, value)) for value in longest]
    forms += [re.escape(form) for value in longest for form in _base64_forms(value)]
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def _forms_of_letter(letter: str) -> str:
    """A pattern for one letter: itself, percent-encoded (a space also as ``+``), or as JSON escapes it."""
    encoded = letter.encode("utf-8", "surrogatepass")
    forms = [re.escape(letter), "".join(f"%{byte:02X}" for byte in encoded)]
    if letter == " ":
        forms.append("[+]")
    if not letter.isalnum():
        forms += [re.escape(json.dumps(letter)[1:-1]), rf"\\u{ord(letter) & 0xFFFF:04x}"]
    elif not letter.isascii():
        forms.append(re.escape(json.dumps(letter)[1:-1]))
    return f"(?:{'|'.join(dict.fromkeys(forms))})"


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
