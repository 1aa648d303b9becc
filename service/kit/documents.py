"""Documents: JSON and YAML from outside as plain values, bounded in depth, never an exception of a parser.

YAML is read with the safe loader, without anchors and aliases (a few bytes of them unfold to gigabytes) and
without dates: what is not JSON-like stays text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from service.kit import errors

DEEPEST = 64
LONGEST_YAML = 256 * 1024
_WHOLE = range(-(2**63), 2**64)


def from_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ``errors.Invalid`` (INVALID_JSON)."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError as error:
        raise errors.Invalid(
            f"the text is not UTF-8: {error.reason} (byte {error.start})", code="INVALID_JSON"
        ) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise errors.Invalid(f"the text is not JSON: {error}", code="INVALID_JSON") from None
    return _checked(value)


def from_yaml(text: bytes) -> Any:
    """The value of a YAML text of one document. Raises ``errors.Invalid`` (INVALID_JSON)."""
    import yaml  # 20 ms that only those pay who write YAML

    if len(text) > LONGEST_YAML:
        raise errors.Invalid(f"a YAML document has at most {LONGEST_YAML} bytes; send JSON", code="INVALID_JSON")
    try:
        loader = _loader()
        _survey(yaml.parse(text, Loader=loader))
        value = yaml.load(text, Loader=loader)  # noqa: S506 - a subclass of SafeLoader
    except RecursionError:
        raise _too_deep() from None
    except (yaml.YAMLError, ValueError) as error:
        raise errors.Invalid(f"the text is not YAML: {' '.join(str(error).split())}", code="INVALID_JSON") from None
    return _checked(value)


def _survey(events: Iterable[Any]) -> None:
    """Refuse what must not be built, before anything is: parsers take minutes over 100 000 brackets."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise errors.Invalid("anchors and aliases are not read; write the value out", code="INVALID_JSON")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _too_deep()


def _loader() -> Any:
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, which wheels bring along, is ten times faster

    class Loader(base):  # type: ignore[misc, valid-type]
        """The safe loader without dates."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return Loader


def _checked(value: Any) -> Any:
    """``value``, if it is not too deep, all its keys are strings, none of its strings has a NUL, and numbers fit."""
    level = [value]
    for depth in range(DEEPEST + 1):
        below: list[Any] = []
        for item in level:
            if depth == DEEPEST and isinstance(item, dict | list):
                raise _too_deep()
            if isinstance(item, dict):
                if not all(isinstance(key, str) for key in item):
                    raise errors.Invalid("the keys of an object must be strings", code="INVALID_JSON")
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                if "\x00" in item:
                    raise errors.Invalid("strings must not hold the NUL character", code="INVALID_JSON")
            elif isinstance(item, float) and not math.isfinite(item):
                raise errors.Invalid("numbers must be finite", code="INVALID_JSON")
            elif isinstance(item, int) and item not in _WHOLE:
                raise errors.Invalid(
                    "whole numbers must fit into 64 bits; write a longer one as a string", code="INVALID_JSON"
                )
            elif item is not None and not isinstance(item, bool | int | float):
                raise errors.Invalid(f"a {type(item).__name__} is no JSON value", code="INVALID_JSON")
        level = below
    return value


def _too_deep() -> errors.Invalid:
    return errors.Invalid(f"the document is nested deeper than {DEEPEST} levels", code="INVALID_JSON")
