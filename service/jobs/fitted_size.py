"""Fitted size: how much of the parameters that steps are fitted with a version may keep.

They are a value of the catalog, which the process of the service writes and reads whole: more of them would end its
memory, not that of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from service.kit import errors
from service.steps.report import FittedStep
from service.values.too_large import mebibytes

MOST = 16 << 20
"""Bytes of JSON: what 400 000 texts of 36 bytes take. The catalog reads the versions of many pipelines at once."""
_ADVICE = "keep the most frequent categories by max_categories, or use the method hash"


def check(fitted: Mapping[str, FittedStep], step: str, most: int | None = None) -> None:
    """Raise ``errors.Permanent`` where the parameters of a version are too large since ``step`` added its own."""
    most = MOST if most is None else most
    total, (largest, name) = 0, (0, "")
    for of, setting, size in _sizes(fitted):
        total += size
        if of == step:
            largest, name = max((largest, name), (size, setting))
    if total > most:
        raise errors.Permanent(
            f"{name}: what the steps are fitted with takes {mebibytes(total)}, {mebibytes(largest)} of it here, and a "
            f"version keeps at most {mebibytes(most)}; {_ADVICE}",
            step=step, field=f"{step}.config.{name}", needed_bytes=total, limit_bytes=most,
        )  # fmt: skip


def _sizes(fitted: Mapping[str, FittedStep]) -> Iterator[tuple[str, str, int]]:
    """Each step with its settings, by columns where they have some, and the bytes of each."""
    for step, of in fitted.items():
        for setting, parameters in of.parameters.items():
            if isinstance(parameters, dict):
                for column, value in parameters.items():
                    yield step, f"{setting}.{column}", len(msgspec.json.encode(value))
            else:
                yield step, setting, len(msgspec.json.encode(parameters))
