"""Decoding of configurations that reports all problems at once, each with its path.

msgspec stops at the first problem and names dict values ``[...]``. Here a document that has one is walked along its
type, and msgspec checks the leaves.
"""

from __future__ import annotations

import functools
import itertools
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from service.kit.errors import MOST_PROBLEMS, Problem, did_you_mean

T = TypeVar("T")

_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>\$.*)`)?$", re.DOTALL)
_ABSENT = msgspec.NODEFAULT


def join(path: str, name: str) -> str:
    """``a`` and ``b`` give ``a.b``; ``[0]`` is appended as it is."""
    if not path or not name:
        return path or name
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def decode(kind: type[T], value: Any, path: str = "") -> tuple[T | None, list[Problem]]:
    """``value`` (JSON-like) as ``kind``, or None and the problems found (no more than an answer lists)."""
    try:
        return msgspec.convert(value, kind), []
    except msgspec.ValidationError as error:
        first = _problem(error, path)
    return None, list(itertools.islice(_walk(kind, value, path), MOST_PROBLEMS + 1)) or [first]


def _problem(error: Exception, path: str) -> Problem:
    match = _AT.match(str(error))
    message = match["message"] if match else str(error)
    inner = (match["path"] or "$")[1:].lstrip(".") if match else ""
    return Problem(join(path, inner), message)


def _leaf(kind: Any, value: Any, path: str) -> Iterable[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = _problem(error, path)
        yield Problem(problem.field, problem.message + _choices([kind], value) + _form(kind, problem.message))


def _form(kind: Any, message: str) -> str:
    """What a text should look like that does not match its pattern, as the end of a message; else an empty text."""
    if get_origin(kind) is not Annotated or "matching regex" not in message:
        return ""
    described = (getattr(meta, "description", None) for meta in get_args(kind)[1:])
    return next((f": {text}" for text in described if text), "")


def _choices(members: Iterable[Any], value: Any) -> str:
    """The members of an enum, with the closest to ``value``, as the end of a message; else an empty text."""
    bare = [get_args(m)[0] if get_origin(m) is Annotated else m for m in members]
    choices = [str(v) for m in bare if get_origin(m) is Literal for v in get_args(m)]
    if not isinstance(value, str) or not choices:
        return ""
    return f"; one of {', '.join(choices)}{did_you_mean(value, choices)}"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _walk(kind: Any, value: Any, path: str) -> Iterable[Problem]:
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    origin = get_origin(bare)
    if origin in (Union, types.UnionType):
        yield from _union(bare, value, path)
    elif _is_struct(bare) and isinstance(value, Mapping):
        yield from _struct(bare, value, path)
    elif origin is dict and isinstance(value, Mapping):
        key_kind, item_kind = get_args(bare)
        for key, item in value.items():
            yield from _leaf(key_kind, key, join(path, str(key)))
            yield from _walk(item_kind, item, join(path, str(key)))
        yield from _bounds(kind, value, path)
    elif origin in (list, Sequence) and isinstance(value, list):
        beyond = list(_bounds(kind, value, path))
        yield from beyond
        for index, item in enumerate(value if not beyond else ()):  # a list that is too long is not walked
            yield from _walk(get_args(bare)[0], item, f"{path}[{index}]")
    else:
        yield from _leaf(kind, value, path)


def _bounds(kind: Any, value: Any, path: str) -> Iterable[Problem]:
    """Check the length bounds of an annotated list or dict; its items are not checked."""
    if get_origin(kind) is Annotated:
        plain: Any = list[Any] if isinstance(value, list) else dict[Any, Any]
        yield from _leaf(Annotated[(plain, *get_args(kind)[1:])], value, path)


def _union(kind: Any, value: Any, path: str) -> Iterable[Problem]:
    try:
        msgspec.convert(value, kind)
        return
    except msgspec.ValidationError as error:
        fallback = _problem(error, path)
    members = [m for m in get_args(kind) if m is not type(None)]
    structs = [m for m in members if _is_struct(m)]
    if isinstance(value, Mapping) and structs:
        chosen = _by_tag(structs, value, path)
        if isinstance(chosen, Problem):
            yield chosen
            return
        if chosen is not None:
            yield from _struct(chosen, value, path)
            return
    same = [m for m in members if _container(m) is not None and isinstance(value, _container(m) or ())]
    if len(same) == 1:
        yield from _walk(same[0], value, path)
    elif len(members) == 1:
        yield from _walk(members[0], value, path)
    else:
        yield Problem(fallback.field, fallback.message + _choices(members, value))


def _container(member: Any) -> type | None:
    bare = get_args(member)[0] if get_origin(member) is Annotated else member
    origin = get_origin(bare)
    return origin if origin in (dict, list) else (dict if _is_struct(bare) else None)


def _by_tag(structs: list[Any], value: Mapping[str, Any], path: str) -> Any:
    """The struct that the tag of ``value`` names, a problem if it names none, None if no struct has a tag."""
    tagged = {s.__struct_config__.tag: s for s in structs if s.__struct_config__.tag is not None}
    if not tagged:
        return structs[0] if len(structs) == 1 else None
    field = next(iter(tagged.values())).__struct_config__.tag_field
    if field not in value:
        return Problem(join(path, field), f"is required; one of {', '.join(sorted(map(str, tagged)))}")
    tag = value[field]
    if not isinstance(tag, str | int) or tag not in tagged:  # an object or a list has no hash
        return Problem(
            join(path, field),
            f"unknown {field} '{tag}'; one of {', '.join(sorted(map(str, tagged)))}"
            + did_you_mean(str(tag), map(str, tagged)),
        )
    return tagged[tag]


@functools.cache
def _fields(kind: Any) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields of a struct by name. Cached, since evaluating the annotations takes 5 ms per class."""
    return {f.encode_name: f for f in msgspec.structs.fields(kind)}


def _struct(kind: Any, value: Mapping[str, Any], path: str) -> Iterable[Problem]:
    fields = _fields(kind)
    config = kind.__struct_config__
    known = [*fields, config.tag_field] if config.tag is not None else list(fields)
    clean = True
    for name, item in value.items():
        if name in fields:
            for problem in _walk(fields[name].type, item, join(path, str(name))):
                clean = False
                yield problem
        elif name not in known and config.forbid_unknown_fields:
            clean = False
            yield Problem(
                join(path, str(name)),
                f"unknown setting{did_you_mean(str(name), known)} (known: {', '.join(sorted(fields)) or 'none'})",
            )
    for name, field in fields.items():
        if name not in value and field.default is _ABSENT and field.default_factory is _ABSENT:
            clean = False
            yield Problem(join(path, name), "is required")
    if clean:
        tag = {config.tag_field: config.tag} if config.tag is not None else {}
        try:
            msgspec.convert({**tag, **value}, kind)  # checks over several fields
        except msgspec.ValidationError as error:
            yield _problem(error, path)
