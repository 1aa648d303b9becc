"""Category room: the error of an encoding whose categories do not fit the memory names its setting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from service.processors.features.encode import Encode, Method
from service.steps.context import ProcessContext
from service.values.too_large import TooLarge

_ADVICE = "keep the most frequent ones by max_categories, or use the method hash"


@contextlib.contextmanager
def attributed(
    settings: Mapping[str, Method | Encode], former: Mapping[str, str], ctx: ProcessContext
) -> Iterator[None]:
    """Add the setting to the error. A column may be measured by its ``former`` name."""
    try:
        yield
    except TooLarge as error:
        column = error.details.get("column")
        for name, setting in settings.items():
            if column in (name, former.get(name)):
                method = setting if isinstance(setting, str) else setting.method
                advice = "use the method hash" if method == "target" else _ADVICE
                found = {**error.details, "column": name, "step": ctx.step, "field": f"config.encode.{name}"}
                raise TooLarge(f"encode.{name} ({method}): {error.cause}; {advice}", **found) from error
        raise
