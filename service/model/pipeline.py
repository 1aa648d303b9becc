"""A pipeline: the decoded configuration, together with the document that the user wrote."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from service.kit import decoding, errors
from service.kit.errors import Problem
from service.kit.labels import Label
from service.model import collector_tree, engines, hook, masking, publication_bounds, retention, schedule, storage_modes
from service.model.hook import Hook
from service.model.publication_bounds import PublicationBounds
from service.model.registry import Registry, Shelf
from service.model.retention import Retention, Versions
from service.model.schedule import Schedule
from service.model.trigger import Trigger
from service.steps.collector import Collector, Declared
from service.steps.processor import Processor
from service.steps.storage import Storage
from service.values.version_mode import VersionMode

Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,62}\Z",
        description="Lower-case letters, digits, - and _; starts with a letter; at most 63 characters.",
        examples=["orders"],
    ),
]
DEFAULT_STORAGE = [{"type": "parquet"}, {"type": "duckdb"}]
_KEYS = (
    "name", "description", "collectors", "combine", "processors", "storage", "execution", "schedule", "trigger",
    "notify", "publish_if", "retention", "keep_versions",
)  # fmt: skip
_MOST_HOOKS = 20


class Concat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="how", tag="concat"):
    """All rows, one source after another; columns by name, missing ones null, types widened: whole numbers to larger
    ones and to floats, dates to datetimes. Numbers, dates or booleans beside text become text, with a warning; what no
    type holds is an error that names the column, the sources and the types."""


class Join(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="how", tag="join"):
    """Sources side by side, in the collectors' order, by equal keys of one type. A column that is there already gets
    ``_right`` behind its name, a third one the id of its collector."""

    on: Annotated[list[str], msgspec.Meta(min_length=1, description="Columns that every source has.")]
    type: Literal["inner", "left", "full"] = "inner"


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How runs of the pipeline are executed."""

    timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=7 * 86400, description="An attempt of a run that takes longer fails the run.")
    ] = 3600.0
    max_attempts: Annotated[
        int,
        msgspec.Meta(
            ge=1, le=20, description="Attempts of a run in total; transient errors and lost workers are tried again."
        ),
    ] = 1
    retry_delay_seconds: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=86400,
            description="Least wait before the second attempt; doubles each time, up to an hour, and a random part of "
            "the same length is added.",
        ),
    ] = 30.0
    engine: Annotated[
        engines.Engine,
        msgspec.Meta(
            description="What executes the data: polars, in the process of the run; spark, on the cluster of "
            "PENSTOCK_SPARK_URL; auto, by the size of the sources."
        ),
    ] = "polars"
    label: Annotated[
        Label | None,
        msgspec.Meta(description="Runs are executed only by processes with this label (PENSTOCK_WORKER_LABELS)."),
    ] = None


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A valid configuration. ``document`` is what the user wrote."""

    name: str
    description: str | None
    collectors: list[Collector]
    combine: Concat | Join
    processors: list[Processor]
    storage: list[Storage]
    execution: Execution
    schedule: Schedule | None
    trigger: Trigger | None
    notify: list[Hook]
    publish_if: PublicationBounds | None
    retention: Retention | None
    document: dict[str, Any]

    @property
    def default_table(self) -> str:
        """The table name in SQL, if no storage sets another."""
        return self.name.replace("-", "_")

    @property
    def table(self) -> str:
        """The table name of the newest version in SQL."""
        named = (getattr(s, "table", None) for s in self.storage)
        return next((t for t in named if isinstance(t, str)), self.default_table)

    @property
    def native_versions(self) -> int:
        """How many of the newest versions keep their native form."""
        return next((int(getattr(s, "keep_native", 1)) for s in self.storage if s.deferred), 1)

    @property
    def mode(self) -> VersionMode:
        """How the rows of a run become the next version."""
        return storage_modes.mode_of(self.storage, self.document)

    @property
    def data(self) -> list[int]:
        """The indexes of the collectors whose rows are data; a parent that only feeds requests is not among them."""
        return collector_tree.data(self.collectors)

    def declared(self, index: int) -> Declared | None:
        """The columns that the settings of a collector declare for the data."""
        return self.collectors[index].declared() if index in self.data else Declared.nothing()

    def parent(self, index: int) -> int | None:
        """The index of the collector's parent, if it has one."""
        return collector_tree.parent(self.collectors, index)

    def base(self, index: int) -> tuple[str, ...]:
        """The addresses of the collectors above it, from the root down, as written."""
        found = [self.collectors[i].address() for i in reversed(collector_tree.above(self.collectors, index))]
        return tuple(address for address in found if address is not None)

    def label(self, index: int) -> str:
        """The name of a source in reports: its id, or its type and index."""
        return collector_tree.label(self.collectors, index)


def decode(document: Any, registry: Registry) -> Pipeline:
    """The pipeline that ``document`` (JSON-like) describes.

    Raises ``errors.Invalid`` with every problem and its path; touches no source.
    """
    if not isinstance(document, Mapping):
        raise errors.Invalid("a pipeline configuration is an object", field="")
    problems: list[Problem] = []
    problems.extend(
        Problem(str(key), f"unknown setting{errors.did_you_mean(str(key), _KEYS)} (known: {', '.join(_KEYS)})")
        for key in itertools.islice((key for key in document if key not in _KEYS), errors.MOST_PROBLEMS + 1)
    )
    name = _part(Name, document, "name", problems, required=True)
    description = _part(str | None, document, "description", problems)
    combine = _part(Concat | Join, document, "combine", problems, default=Concat())
    execution = _part(Execution, document, "execution", problems, default=Execution())
    scheduled = _part(Schedule | None, document, "schedule", problems)
    problems.extend(schedule.problems(document.get("schedule")))
    trigger = _part(Trigger | None, document, "trigger", problems)
    notify = _part(
        Annotated[list[Hook], msgspec.Meta(max_length=_MOST_HOOKS)], document, "notify", problems, default=[]
    )
    problems.extend(hook.problems(document.get("notify")))
    bounds = _part(PublicationBounds | None, document, "publish_if", problems)
    kept = _part(Retention | None, document, "retention", problems)
    _part(Versions, document, "keep_versions", problems)
    problems.extend(retention.problems(document))
    collectors = _plugins(document, "collectors", registry.collectors, problems, nested=False)
    processors = _plugins(document, "processors", registry.processors, problems, nested=True)
    storage = _plugins(document, "storage", registry.storages, problems, nested=False)
    if "collectors" not in document or document["collectors"] == []:
        problems.append(Problem("collectors", "at least one collector is required"))
    problems.extend(_together(document, collectors, combine, storage))
    given = document.get("processors", [])
    if bounds is not None and isinstance(given, list) and len(processors) == len(given):
        problems.extend(publication_bounds.problems(bounds, processors))
    problems.extend(masking.problems(document))
    if execution is not None and execution.engine == "spark":
        problems.extend(engines.problems(processors, given))
    if problems:
        raise errors.Invalid.of(problems)
    return Pipeline(
        name=name,
        description=description,
        collectors=collectors,
        combine=combine,
        processors=processors,
        storage=storage,
        execution=execution,
        schedule=scheduled,
        trigger=trigger,
        notify=notify,
        publish_if=bounds,
        retention=kept if kept is not None else retention.by_alias(document),
        document=dict(document),
    )


def _part(
    kind: Any,
    document: Mapping[str, Any],
    key: str,
    problems: list[Problem],
    *,
    default: Any = None,
    required: bool = False,
) -> Any:
    if key not in document:
        if required:
            problems.append(Problem(key, "is required"))
        return default
    value, found = decoding.decode(kind, document[key], key)
    problems.extend(found)
    return value


def _plugins(
    document: Mapping[str, Any], key: str, shelf: Shelf[Any], problems: list[Problem], *, nested: bool
) -> list[Any]:
    items = document.get(key, DEFAULT_STORAGE if key == "storage" else [])
    if not isinstance(items, list):
        problems.append(Problem(key, "expected a list"))
        return []
    decoded = []
    for index, item in enumerate(items):
        if len(problems) > errors.MOST_PROBLEMS:  # an answer lists no more
            break
        value = _plugin(item, f"{key}[{index}]", shelf, problems, nested=nested)
        if value is not None:
            decoded.append(value)
    return decoded


def _plugin(item: Any, path: str, shelf: Shelf[Any], problems: list[Problem], *, nested: bool) -> Any:
    if not isinstance(item, Mapping):
        problems.append(Problem(path, "expected an object with a 'type'"))
        return None
    tag, kinds = item.get("type"), ", ".join(sorted(shelf.kinds))
    if tag is None:
        problems.append(Problem(f"{path}.type", f"is required; one of {kinds}"))
        return None
    if not isinstance(tag, str) or tag not in shelf.kinds:
        hint = errors.did_you_mean(str(tag), shelf.kinds)
        problems.append(Problem(f"{path}.type", f"unknown type '{tag}'; one of {kinds}{hint}"))
        return None
    settings: Any = item
    if nested:
        extra = [k for k in item if k not in ("type", "config")]
        problems.extend(Problem(f"{path}.{k}", "unknown setting (known: config, type)") for k in extra)
        settings = item.get("config", {})
        path = f"{path}.config"
        if not isinstance(settings, Mapping):
            problems.append(Problem(path, "expected an object"))
            return None
        if "type" in settings:
            problems.append(Problem(f"{path}.type", "unknown setting"))
            return None
    value, found = decoding.decode(shelf.kinds[tag], {**settings, "type": tag}, path)
    problems.extend(found)
    seen = value if value is not None else _rest(shelf.kinds[tag], settings, tag, path, found, nested=nested)
    if seen is not None:
        problems.extend(Problem(decoding.join(path, p.field), p.message) for p in seen.problems())
    return value


def _rest(
    kind: type[Any], settings: Mapping[str, Any], tag: str, path: str, found: list[Problem], *, nested: bool
) -> Any:
    """A plug-in from the settings that decode, to find their problems too; None if it needs the others.

    Settings of a collector or a storage depend on each other, so only unknown ones are left out.
    """
    wrong = {name for name in settings if any(_lies_in(p.field, decoding.join(path, str(name))) for p in found)}
    if not nested and wrong & set(kind.__struct_fields__):
        return None
    value, _ = decoding.decode(kind, {k: v for k, v in settings.items() if k not in wrong} | {"type": tag}, path)
    return value


def _lies_in(field: str, setting: str) -> bool:
    return field == setting or field.startswith((f"{setting}.", f"{setting}["))


def _together(
    document: Mapping[str, Any], collectors: list[Any], combine: Any, storage: list[Any]
) -> Iterable[Problem]:
    """Problems between the parts of a configuration."""
    given = document.get("collectors", [])
    if "combine" in document and isinstance(given, list) and len(given) < 2:
        yield Problem("combine", "needs at least two collectors")
    if isinstance(combine, Join):
        for name in sorted({n for n in combine.on if combine.on.count(n) > 1}):
            yield Problem("combine.on", f"names '{name}' twice")
    seen: set[str] = set()
    for index, collector in enumerate(collectors):
        if collector.id is not None and collector.id in seen:
            yield Problem(f"collectors[{index}].id", f"'{collector.id}' is the id of another collector")
        seen.add(collector_tree.label(collectors, index))
    if isinstance(given, list) and len(collectors) == len(given):
        yield from collector_tree.problems(collectors)
        if len(given) > 1 and len(collector_tree.data(collectors)) < 2 and isinstance(combine, Join):
            yield Problem("combine", "joins the rows of several collectors, and only one has data; set keep_parents")
    kinds = [type(s).__struct_config__.tag for s in storage]
    for index, kind in enumerate(kinds):
        if kind in kinds[:index]:
            yield Problem(f"storage[{index}].type", f"a second storage of type '{kind}'")
    trigger = document.get("trigger")
    after = trigger.get("after") if isinstance(trigger, Mapping) else None
    for index, upstream in enumerate(after if isinstance(after, list) else []):
        if upstream == document.get("name"):
            yield Problem(f"trigger.after[{index}]", f"a cycle: '{upstream}' would run after itself")
        if upstream in after[:index]:  # type: ignore[index]
            yield Problem(f"trigger.after[{index}]", f"names '{upstream}' twice")
    yield from storage_modes.problems(storage, document)
    for index, collector in enumerate(collectors):
        if getattr(collector, "incremental", None) is not None:
            yield from storage_modes.problems_of_incremental(storage, document, f"collectors[{index}].incremental")
    if "storage" in document and document["storage"] == []:
        yield Problem("storage", "at least one storage is required (leave it out for parquet and duckdb)")
