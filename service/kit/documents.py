"""JSON and YAML from outside as plain values, bounded in depth; parsers' exceptions become ``errors.Invalid``.

YAML is read with the safe loader, without anchors and aliases (a few bytes of them unfold to gigabytes) and
without dates: a value that JSON does not have stays text. Bad JSON has the code INVALID_JSON, bad YAML
VALIDATION_ERROR.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from service.kit import decoding, errors
from service.kit.codes import Code

DEEPEST = 64
LONGEST_YAML = 256 * 1024
MOST_YAML_VALUES = 20_000  # the parser of YAML takes ten times as long as that of JSON, and others wait for it
MOST_CONTAINERS = 100_000
"""Objects and lists of a JSON text: a million of them keep Python's memory management busy for seconds."""
_AT_ONCE = 50_000  # values that one call looks at: other threads wait for it
_WHOLE = range(-(2**63), 2**64)


def from_json(text: bytes) -> Any:
    """The value of a JSON text. Raises ``errors.Invalid`` (INVALID_JSON)."""
    if text.count(b"{") + text.count(b"[") > MOST_CONTAINERS:
        raise errors.Invalid(f"the text has more than {MOST_CONTAINERS} objects and lists", code="INVALID_JSON")
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
    """Refuse aliases, deep nesting and very many values before one is built: 100 000 brackets take minutes."""
    import yaml

    depth = values = 0
    for event in events:
        values += isinstance(event, yaml.NodeEvent)
        if values > MOST_YAML_VALUES:
            raise errors.Invalid(f"a YAML document has at most {MOST_YAML_VALUES} values and keys; send JSON")
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
        for start in range(0, len(level), _AT_ONCE):
            part = level[start : start + _AT_ONCE]
            kinds = set(map(type, part))
            if depth == DEEPEST and kinds & {dict, list}:
                raise _too_deep(code)
            if problem := next((p for kind in kinds if (p := _problem(kind, part)) is not None), None):
                raise errors.Invalid(problem, code=code)
            if dict in kinds:
                for item in (item for item in part if type(item) is dict):
                    below.extend(item)
                    below.extend(item.values())
                    if not all(isinstance(key, str) for key in item):
                        raise errors.Invalid("the keys of an object must be strings", code=code)
            if list in kinds:
                below.extend(itertools.chain.from_iterable(item for item in part if type(item) is list))
        level = below
    return value


def _problem(kind: type, values: list[Any]) -> str | None:
    """What is wrong with those of ``values`` that are of this type, or None."""
    mine: Iterable[Any] = (value for value in values if type(value) is kind)
    if kind is str:
        return "strings must not hold the NUL character" if any("\x00" in text for text in mine) else None
    if kind is float:
        return None if all(map(math.isfinite, mine)) else "numbers must be finite"
    if kind is int:
        numbers = list(mine)
        fit = min(numbers) in _WHOLE and max(numbers) in _WHOLE
        return None if fit else "whole numbers must fit into 64 bits; write a longer one as a string"
    return None if kind in (bool, type(None), dict, list) else f"a {kind.__name__} is not a JSON value"


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
