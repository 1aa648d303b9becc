"""``penstock version …``: list, mark, restore, accept and delete versions, here or at a running service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from service.api import audit_actions, path_lookup, responses
from service.api.audit_actions import Action
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.catalog.version_marks import VersionMarks
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.kit.clock import SystemClock
from service.model.version import Version
from service.runs.core import Core

_COLUMNS = ["version", "state", "created", "rows", "bytes", "run_id", "pinned", "tags"]
_EVERY = 1 << 31
BY = "command line"

_MARKS = {"pin": audit_actions.PIN, "unpin": audit_actions.UNPIN, "tag": audit_actions.TAG}

Mark = Callable[[VersionMarks, str, Version], None]


def show(pipeline: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the versions of a pipeline, newest first. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            found = remote.items(connection, f"pipeline/{pipeline}/versions")
        else:
            found = session.with_catalog(session.existing(data_dir=data_dir), lambda _, store: _listed(store, pipeline))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        output.show(_COLUMNS, [{**line, "tags": ", ".join(line["tags"])} for line in found])


def pin(pipeline: str, version: str, **chosen: Any) -> None:
    """Pin a version. Raises ``errors.Missing``."""
    _mark(pipeline, version, "pin", lambda marks, key, found: marks.pin(key, found), **chosen)


def unpin(pipeline: str, version: str, **chosen: Any) -> None:
    """Remove the pin of a version. Raises ``errors.Missing``."""
    _mark(pipeline, version, "unpin", lambda marks, key, found: marks.unpin(key, found), **chosen)


def tag(pipeline: str, version: str, tag: str, **chosen: Any) -> None:
    """Let a tag name a version. Raises ``errors.Missing``, ``errors.Invalid`` if it cannot be a tag."""
    path_lookup.valid_tag(tag)
    _mark(pipeline, version, "tag", lambda marks, key, found: marks.tag(key, found, tag), body={"tag": tag}, **chosen)


def untag(pipeline: str, tag: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Remove a tag. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send("DELETE", f"pipeline/{pipeline}/tags/{tag}")
        else:

            def work(store: Store) -> None:
                VersionMarks(store).untag(_identity(store, pipeline), pipeline, tag)

            deed = Deed(audit_actions.DELETE_TAG, f"{pipeline}/{tag}")
            session.with_catalog(session.existing(data_dir=data_dir), lambda _, store: work(store), deed)
    _say({"pipeline": pipeline, "tag": tag, "removed": True}, f"removed the tag '{tag}' of '{pipeline}'", as_json)


def restore(pipeline: str, version: str, *, state: bool, as_json: bool, **where: str | None) -> None:
    """Restore a version. Raises ``errors.Missing``, ``errors.Conflict``."""

    async def here(core: Core, which: int | str) -> Version:
        return await core.supervisor.restore(pipeline, which, BY, state=state)

    verb = "restore?state=true" if state else "restore"
    found = _published(pipeline, version, verb, audit_actions.RESTORE_VERSION, here, **where)
    _say(found, f"'{pipeline}' has the rows of version {version}: version {found['version']}", as_json)


def accept(pipeline: str, version: str, *, as_json: bool, **where: str | None) -> None:
    """Publish a held version. Raises ``errors.Missing``, ``errors.Conflict``."""

    async def here(core: Core, which: int | str) -> Version:
        return await core.held.accept(pipeline, which, BY)

    found = _published(pipeline, version, "accept", audit_actions.ACCEPT, here, **where)
    _say(found, f"version {found['version']} of '{pipeline}' is published", as_json)


def reject(pipeline: str, version: str, *, as_json: bool, **where: str | None) -> None:
    """Delete a held version. Raises ``errors.Missing``, ``errors.Conflict``."""
    request = ("POST", f"pipeline/{pipeline}/versions/{version}/reject")

    async def here(core: Core, which: int | str) -> None:
        await core.held.reject(pipeline, which, BY)

    _removed(pipeline, version, request, audit_actions.REJECT, here, **where)
    shown = {"pipeline": pipeline, "version": version, "rejected": True}
    _say(shown, f"rejected version {version} of '{pipeline}'", as_json)


def delete(pipeline: str, version: str, *, as_json: bool, **where: str | None) -> None:
    """Delete a version. Raises ``errors.Missing``, ``errors.Conflict``."""
    request = ("DELETE", f"pipeline/{pipeline}/versions/{version}")

    async def here(core: Core, which: int | str) -> None:
        await core.upkeep.delete(pipeline, which, BY)

    _removed(pipeline, version, request, audit_actions.DELETE_VERSION, here, **where)
    shown = {"pipeline": pipeline, "version": version, "deleted": True}
    _say(shown, f"deleted version {version} of '{pipeline}'", as_json)


def _published(
    pipeline: str, version: str, verb: str, action: Action, publish: Callable[[Core, int | str], Awaitable[Version]],
    *, data_dir: str | None, url: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The version that a running service publishes, or ``publish`` here, with its native form loaded."""

    async def work(core: Core) -> dict[str, Any]:
        made = await publish(core, path_lookup.named_version(version, pipeline))
        await core.supervisor.loaded()
        return await asyncio.to_thread(_view, core.store, pipeline, made.version)

    with remote.service(url, data_dir, patient=True) as connection:
        if connection is not None:
            return dict(connection.send("POST", f"pipeline/{pipeline}/versions/{version}/{verb}"))
        deed = Deed(action, f"{pipeline}/{version}")
        return session.with_core(session.existing(data_dir=data_dir), work, deed)


def _removed(
    pipeline: str, version: str, request: tuple[str, str], action: Action,
    remove: Callable[[Core, int | str], Awaitable[None]], *, data_dir: str | None, url: str | None,
) -> None:  # fmt: skip
    """Let a running service remove the version, with the method and path ``request``, or do it here."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send(*request)
        else:
            which = path_lookup.named_version(version, pipeline)
            deed = Deed(action, f"{pipeline}/{version}")
            session.with_core(session.existing(data_dir=data_dir), lambda core: remove(core, which), deed)


def _mark(
    pipeline: str, version: str, verb: str, change: Mark, *, data_dir: str | None, url: str | None, as_json: bool,
    body: dict[str, str] | None = None,
) -> None:  # fmt: skip
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            found = dict(connection.send("POST", f"pipeline/{pipeline}/versions/{version}/{verb}", body))
        else:

            def work(store: Store) -> dict[str, Any]:
                key = _identity(store, pipeline)
                wanted = History(store).version(key, pipeline, path_lookup.named_version(version, pipeline))
                change(VersionMarks(store), key, wanted)
                return _view(store, pipeline, wanted.version)

            deed = Deed(_MARKS[verb], f"{pipeline}/{version}", body or {})
            found = session.with_catalog(session.existing(data_dir=data_dir), lambda _, store: work(store), deed)
    marks = ", ".join([*(["pinned"] if found["pinned"] else []), *found["tags"]]) or "no marks"
    _say(found, f"version {found['version']} of '{pipeline}': {marks}", as_json)


def _identity(store: Store, pipeline: str) -> str:
    return Pipelines(store, SystemClock()).get(pipeline).id


def _listed(store: Store, pipeline: str) -> list[dict[str, Any]]:
    """The versions as the API shows them."""
    key = _identity(store, pipeline)
    found, _ = History(store).versions(key, limit=_EVERY, offset=0)
    return list(msgspec.to_builtins(responses.versions(found, None, VersionMarks(store).of(key))))


def _view(store: Store, pipeline: str, number: int) -> dict[str, Any]:
    """One version as the API shows it."""
    return next(line for line in _listed(store, pipeline) if line["version"] == number)


def _say(value: dict[str, Any], text: str, as_json: bool) -> None:
    click.echo(msgspec.json.encode(value).decode() if as_json else text)
