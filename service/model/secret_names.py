"""The secrets that a pipeline names as ``${NAME}``: which are not configured, and which would not be filled in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from service.kit import placeholders
from service.model.pipeline import Pipeline
from service.steps.report import StepWarning

_ANY = re.compile(r"\$\{[^}]{0,60}\}?")


def warnings(pipeline: Pipeline, known: Collection[str]) -> list[StepWarning]:
    """A warning for each secret of a collector that is not in ``known``, and for each text that only looks like one.

    A secret may be configured before the pipeline is executed. Processors and storages get none: it would be stored.
    """
    found: dict[tuple[str, str], StepWarning] = {}
    for kind in ("collectors", "processors", "storage"):
        for place, document in enumerate(pipeline.document.get(kind) or ()):
            step = f"{kind}[{place}]"
            for text in sorted({match for string in _strings(document) for match in _ANY.findall(string)}):
                code, message = _judged(text, kind, known)
                if code:
                    found.setdefault((step, text), StepWarning(step, code, f"{step}: {message}", {"text": text}))
    return list(found.values())


def _judged(text: str, kind: str, known: Collection[str]) -> tuple[str, str]:
    """The code and the message of a warning about a placeholder; empty if it is filled in."""
    name = placeholders.PATTERN.fullmatch(text)
    if name is None:
        advice = "the name of a secret has capital letters, digits and _, as in ${API_KEY}"
        return ("no_placeholder", f"'{text}' stays as it is: {advice}") if kind == "collectors" else ("", "")
    if kind != "collectors":
        return "no_placeholder", f"'{text}' stays as it is: secrets are for collectors, and are not stored"
    if name[1] not in known:
        advice = f"a run fails until PENSTOCK_SECRET_{name[1]} is set where the service runs"
        return "no_secret", f"the secret {name[1]} is not configured; {advice}"
    return "", ""


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
