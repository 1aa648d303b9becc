"""JSON and YAML from outside as plain values, bounded in depth; parsers' exceptions become ``errors.Invalid``.

YAML is read with the safe loader, without anchors and aliases (a few bytes of them unfold to gigabytes) and
without dates: a value that JSON does not have stays text. Bad JSON has the code INVALID_JSON, bad YAML
VALIDATION_ERROR.
"""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from service.kit import decoding, errors
from service.kit.codes import Code

DEEPEST = 64
LONGEST_YAML = 256 * 1024
_WHOLE = range(-(2**63), 2**64)


def from_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ``errors.Invalid`` (INVALID_JSON)."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise _too_deep("INVALID_JSON") from None
    except UnicodeDecodeError as error:
        message = f"the text is not UTF-8: {error.reason} (byte {error.start})"
        raise errors.Invalid(message, code="INVALID_JSON") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise errors.Invalid(f"the text is not JSON: {error}", code="INVALID_JSON") from None
    return _checked(value, "INVALID_JSON")


def configuration(text: bytes) -> Any:
    """As ``from_json``, for a configuration: raises ``errors.Invalid`` naming a key that an object has twice."""
    value = from_json(text)
    if _repeats_keys(text):
        twice = _repeated_key(json.loads(text, object_pairs_hook=_Pairs), "")
        raise errors.Invalid(f"{twice}: the key is written twice; keep one", field=twice)
    return value


def from_yaml(text: bytes) -> Any:
    """The value of a YAML text of one document. Raises ``errors.Invalid`` (VALIDATION_ERROR)."""
    import yaml  # takes 20 ms, which only callers with YAML pay

    if len(text) > LONGEST_YAML:
        raise errors.Invalid(f"a YAML document has at most {LONGEST_YAML} bytes; send JSON")
    try:
        loader = _loader()
        _check_events(yaml.parse(text, Loader=loader))
        value = yaml.load(text, Loader=loader)  # noqa: S506 - a subclass of SafeLoader
    except RecursionError:
        raise _too_deep("VALIDATION_ERROR") from None
    except (yaml.YAMLError, ValueError) as error:
        raise errors.Invalid(f"the text is not YAML: {_cause(error)}") from None
    return _checked(value, "VALIDATION_ERROR")


def _cause(error: Exception) -> str:
    """The message of PyYAML in one line, without the name that it gives to the text."""
    return " ".join(str(error).replace(' in "<byte string>",', " at").replace(' in "<unicode string>",', " at").split())


def _check_events(events: Iterable[Any]) -> None:
    """Refuse aliases and deep nesting before a value is built: parsers take minutes over 100 000 brackets."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise errors.Invalid("anchors and aliases are not read; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _too_deep("VALIDATION_ERROR")


def _loader() -> Any:
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, which is part of the wheels, is ten times faster

    class Loader(base):  # type: ignore[misc, valid-type]
        """The safe loader without dates; a key that is written twice is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    place = f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}"
                    raise yaml.YAMLError(f"the key '{key.value}' is written twice in one mapping ({place})")
                if isinstance(key, yaml.ScalarNode):
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return Loader


def _checked(value: Any, code: Code) -> Any:
    """``value``, if it is not too deep, its keys are strings, no string has a NUL, and numbers fit; else ``code``."""
    level = [value]
    for depth in range(DEEPEST + 1):
        below: list[Any] = []
        for item in level:
            if depth == DEEPEST and isinstance(item, dict | list):
                raise _too_deep(code)
            if isinstance(item, dict):
                if not all(isinstance(key, str) for key in item):
                    raise errors.Invalid("the keys of an object must be strings", code=code)
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif problem := _problem(item):
                raise errors.Invalid(problem, code=code)
        level = below
    return value


def _problem(leaf: Any) -> str | None:
    """What is wrong with a value that is neither an object nor a list, or None."""
    if isinstance(leaf, str):
        return "strings must not hold the NUL character" if "\x00" in leaf else None
    if isinstance(leaf, float):
        return None if math.isfinite(leaf) else "numbers must be finite"
    if isinstance(leaf, int):
        return None if leaf in _WHOLE else "whole numbers must fit into 64 bits; write a longer one as a string"
    return None if leaf is None else f"a {type(leaf).__name__} is not a JSON value"


def _repeats_keys(text: bytes) -> bool:
    found = False

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        values = dict(pairs)
        found = found or len(values) < len(pairs)
        return values

    json.loads(text, object_pairs_hook=read)
    return found


class _Pairs(list[tuple[str, Any]]):
    """The keys of a JSON object with their values, in order."""


def _repeated_key(value: Any, path: str) -> str | None:
    """The path of the first key that an object in ``value`` has twice."""
    if isinstance(value, _Pairs):
        if len(dict(value)) < len(value):
            counts = collections.Counter(name for name, _ in value)
            return decoding.join(path, next(name for name in counts if counts[name] > 1))
        below = ((inner, decoding.join(path, name)) for name, inner in value)
    else:
        below = ((inner, f"{path}[{place}]") for place, inner in enumerate(value))
    lists = ((inner, at) for inner, at in below if isinstance(inner, list))
    return next((found for inner, at in lists if (found := _repeated_key(inner, at)) is not None), None)


def _too_deep(code: Code) -> errors.Invalid:
    return errors.Invalid(f"the document is nested deeper than {DEEPEST} levels", code=code)
