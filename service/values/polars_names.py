"""The names of types in configurations, from the texts that versions store. It works without loading Polars."""

from __future__ import annotations

import ast
import functools
import re

_PLAIN = re.compile(r"[^\s,()\[\]\"']([^,()\[\]\"']*[^\s,()\[\]\"'])?")


@functools.lru_cache(maxsize=1024)
def configured(text: str) -> str:
    """The name that configurations use for a Polars type, given as ``str(dtype)``: ``int64`` for ``Int64``.

    A text that is not such a type is returned as it is.
    """
    try:
        return _name(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, KeyError, IndexError):
        return text


def quoted(value: str) -> str:
    """A category as ``enum(…)`` has it, in quotes if it holds a letter that ends one."""
    return value if _PLAIN.fullmatch(value) else '"' + value.replace('"', '""') + '"'


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id.lower()
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(ast.dump(node))
    settings = {k.arg: k.value for k in node.keywords}
    match node.func.id:
        case "Datetime":
            zone = ast.literal_eval(settings["time_zone"])
            return f"datetime[{zone}]" if zone else "datetime"
        case "Decimal":
            return f"decimal({ast.literal_eval(settings['precision'])},{ast.literal_eval(settings['scale'])})"
        case "Enum":
            return f"enum({','.join(map(quoted, ast.literal_eval(settings['categories'])))})"
        case "List":
            return f"list({_name(node.args[0])})"
        case "Array":
            shape = ast.literal_eval(settings["shape"])
            inner = _name(node.args[0])
            for size in reversed(shape):
                inner = f"array({inner},{size})"
            return inner
        case "Struct":
            (fields,) = node.args
            if not isinstance(fields, ast.Dict):
                raise ValueError(ast.dump(node))
            pairs = zip(fields.keys, fields.values, strict=True)
            return f"struct({', '.join(f'{ast.literal_eval(k)}: {_name(v)}' for k, v in pairs if k is not None)})"
        case name:
            return name.lower()
