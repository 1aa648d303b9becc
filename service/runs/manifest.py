"""The manifest of a version: the file in its folder from which a catalog that lost the version can adopt it."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
import structlog

from service.files import manifest_file, permissions
from service.files.layout import MANIFEST, Layout, flush
from service.kit import ids
from service.model.breach import Breach
from service.model.pipeline import Name
from service.model.version import Column, Refusal, Source, Version
from service.steps.storage import File
from service.values.profile import Profile
from service.values.version_mode import Layout as PartsLayout

_log = structlog.get_logger("penstock.recovery")

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``manifest.json``. Fields with defaults are absent in manifests of older releases.

    ``configuration`` is the pipeline's document with masked secrets.
    """

    format: int
    pipeline: Name
    version: Annotated[int, msgspec.Meta(ge=1)]
    run_id: str
    revision: int
    created: datetime
    rows: int
    files: list[File]
    columns: list[Column]
    layout: PartsLayout = PartsLayout()
    sources: list[Source] = []
    fitted: dict[str, Any] = {}
    profiles: list[Profile] = []
    quarantine: list[File] = []
    refusals: list[Refusal] = []
    quarantine_columns: list[Column] = []
    fit_record: File | None = msgspec.field(default=None, name="tape")
    state: list[File] = []
    replay_of: int | None = None
    restored_from: int | None = None
    held: bool = False
    held_because: list[Breach] = []
    continues: int | None = None
    objects: str | None = None
    configuration: dict[str, Any] | None = None

    @property
    def table_name(self) -> str:
        """The table name in SQL: that of the configuration's storage, else the pipeline's name."""
        storages = (self.configuration or {}).get("storage")
        named = [s.get("table") for s in storages if isinstance(s, dict)] if isinstance(storages, list) else []
        usable = (name for name in named if isinstance(name, str) and _TABLE.fullmatch(name))
        return next(usable, self.pipeline.replace("-", "_"))

    def as_version(self) -> Version:
        """The version as the catalog stores it, without native forms."""
        return Version(
            pipeline=self.pipeline, version=self.version, run_id=self.run_id, revision=self.revision,
            table=self.table_name, rows=self.rows, bytes=sum(f.bytes for f in self.files), columns=self.columns,
            files=self.files, sources=self.sources, created=self.created, profiles=self.profiles, fitted=self.fitted,
            quarantine=self.quarantine, refusals=self.refusals, quarantine_columns=self.quarantine_columns,
            fit_record=self.fit_record, state=self.state, replay_of=self.replay_of, restored_from=self.restored_from,
            layout=self.layout, held=self.held, held_because=self.held_because, continues=self.continues,
            objects=self.objects,
        )  # fmt: skip


def read(folder: Path) -> Manifest | None:
    """The manifest in the folder; None if there is none that can be read, or if it names files outside the folder.

    One that is damaged cannot be read.
    """
    try:
        return decoded((folder / MANIFEST).read_bytes())
    except OSError:
        return None


def decoded(data: bytes) -> Manifest | None:
    """The manifest with these bytes, as ``read``."""
    try:
        found = msgspec.json.decode(manifest_file.check(data), type=Manifest)
    except (ValueError, msgspec.MsgspecError):
        return None
    inside = all(_is_inside(file.name) for file in found.as_version().base_files)
    return found if inside else None


def write(folder: Path, version: Version, earlier: Path) -> None:
    """Write the manifest of a version into the folder, from what the catalog has of it, and flush.

    What only manifests have (the configuration) is that of the manifest in the folder ``earlier``, if it can be read.
    Raises ``OSError``.
    """
    content: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
        content |= manifest_file.decode((earlier / MANIFEST).read_bytes())
    content |= {
        "pipeline": version.pipeline, "version": version.version, "run_id": version.run_id,
        "revision": version.revision, "created": version.created, "rows": version.rows, "files": version.files,
        "layout": version.layout, "columns": version.columns, "quarantine": version.quarantine,
        "refusals": version.refusals, "tape": version.fit_record, "state": version.state, "sources": version.sources,
        "fitted": version.fitted, "profiles": version.profiles, "quarantine_columns": version.quarantine_columns,
        "replay_of": version.replay_of, "restored_from": version.restored_from, "held": version.held,
        "held_because": version.held_because, "continues": version.continues,
        **({"objects": version.objects} if version.objects is not None else {}),
    }  # fmt: skip
    _replace(folder, content)


def rewrite(folder: Path, layout: Layout, version: Version) -> None:
    """Write the manifest of a committed version again, as ``write``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(folder, version, folder)
    permissions.share(folder, layout.group)


def amend(folder: Path, layout: Layout, **changes: Any) -> None:
    """Replace fields of the manifest in the folder; readers see the earlier or the new one.

    Raises ``OSError``, ``ValueError`` (``DamagedManifest``: nobody would notice the damage any more),
    ``msgspec.MsgspecError``.
    """
    content = manifest_file.decode((folder / MANIFEST).read_bytes())
    _replace(folder, {**content, **changes})
    permissions.share(folder, layout.group)


def _replace(folder: Path, content: dict[str, Any]) -> None:
    temporary = folder / f".tmp-{ids.new('manifest')}"
    temporary.write_bytes(manifest_file.encode(content))
    flush(temporary)
    temporary.replace(folder / MANIFEST)
    flush(folder)


def follow(folder: Path, layout: Layout, version: Version) -> None:
    """Let the manifest say whether the version is held, as the catalog does. What cannot be written is logged."""
    found = read(folder)
    if found is None or found.held == version.held:
        return
    try:
        amend(folder, layout, held=version.held)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        _log.error("manifest.not_written", pipeline=version.pipeline, version=version.version, reason=str(error))


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def describes(found: Manifest | None, version: Version) -> bool:
    """Whether a manifest is that of the version, so that its rows can be taken back from it.

    The manifest is older than the commit, and its state and whether it is held follow the catalog: neither is compared.
    """
    return found is not None and _identity(found.as_version()) == _identity(version)


def fault(folder: Path, version: Version) -> str | None:
    """What is wrong with the manifest of a version; None if nothing is. The rows do not depend on it."""
    try:
        manifest_file.check((folder / MANIFEST).read_bytes())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and version.objects is not None:  # the object store has it
            return None
        return f"{MANIFEST} cannot be read ({error.strerror}); the catalog has what it said, and readers do not use it"
    except manifest_file.DamagedManifest:
        return f"{MANIFEST} has another checksum than when it was written; readers do not use it"
    if not describes(read(folder), version):
        return f"{MANIFEST} is not that of this version; the catalog has what it said, and readers do not use it"
    return None


def _identity(version: Version) -> tuple[object, ...]:
    return (
        version.pipeline, version.version, version.run_id, version.rows, version.columns,
        [_plain(f) for f in version.files], [_plain(f) for f in version.quarantine],
        _plain(version.fit_record) if version.fit_record is not None else None, version.layout,
        version.quarantine_columns,
    )  # fmt: skip


def _plain(file: File) -> File:
    """A file without the key that it may get after the manifest was written."""
    return msgspec.structs.replace(file, key=None)


def run_id(folder: Path) -> str:
    """The id of the run that wrote the folder, as its manifest has it; empty if it cannot be read."""
    found = read(folder)
    return found.run_id if found is not None else ""
