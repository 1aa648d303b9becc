"""Options that several commands share, and the list of settings that ``serve --help`` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from service.kit import settings
from service.kit.codes import EXITS
from service.kit.settings import MIB, PREFIX, Settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def data_dir(
    default: str | None = "./penstock-data", text: str = "The data directory (or PENSTOCK_DATA_DIR)."
) -> Decorator:
    """``--data-dir``. The value is None without the flag: then the environment decides."""
    shown = f"{text}  [default: {default}]" if default else text
    return click.option("--data-dir", type=click.Path(file_okay=False), default=None, help=shown)


def several(flag: str, name: str, text: str) -> Decorator:
    """A flag that may be repeated; the value is None without the flag."""

    def none_if_absent(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
        return value or None

    return click.option(flag, name, multiple=True, callback=none_if_absent, help=text)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["json"] = value
    return value


url: Decorator = click.option(
    "--url",
    help="Ask the service at this URL, with an access token in PENSTOCK_TOKEN.  [default: the service that runs on the "
    "data directory, else none]",
)
"""A service at another address than the one that may run on the data directory."""

as_json: Decorator = click.option(
    "--json", "as_json", is_flag=True, callback=_remember, is_eager=True, help="Print JSON, errors too."
)
"""For machines: everything on standard output is one JSON value."""


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = settings.default_of(field)
    if value in (None, (), ""):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= MIB and value % MIB == 0:
        return f"{value // MIB}MiB"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _described(field: msgspec.structs.FieldInfo) -> str:
    kind = msgspec.inspect.type_info(field.type)
    text = (getattr(kind, "extra_json_schema", None) or {}).get("description", "")
    return f"{PREFIX}{field.name.upper()}\n    {text} Default: {_default(field)}."


EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {text}" for code, text in EXITS.items())

VARIABLES = (
    "\b\nSettings come from the environment; a flag wins over its variable.\n\n\b\n"
    + "\n".join(_described(f) for f in msgspec.structs.fields(Settings))
    + "\n\n\b\nPENSTOCK_SECRET_<NAME>\n    The value of ${NAME} in pipeline configurations."
)
