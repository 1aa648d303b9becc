"""The actions that the audit log records. Each route that changes something, logs in or reads by SQL names one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Action:
    """What a route does, and what the log has of it.

    ``at_once``: on disk before the answer. ``adds``: not even begun while the log cannot be written. ``goes_on``:
    answered also if it could not be recorded yet, since it frees space or shuts somebody out.

    ``of`` is the field of the body that names the object, which the path names by default; ``shown`` are further fields
    of the body and parameters, none of them secret. ``account``: the object is written only if the action succeeded or
    it is the name of an account, since people type passwords and keys into the wrong field. ``query`` is the field of
    the body, or the parameter, with SQL; an action with an optional one (``filtered``) is recorded only with it.
    """

    name: str
    at_once: bool = False
    adds: bool = False
    goes_on: bool = True
    of: str | None = None
    shown: tuple[str, ...] = ()
    account: bool = False
    query: str | None = None
    filtered: bool = False

    def __deepcopy__(self, _: dict[int, Any]) -> Action:
        """Litestar copies a handler's options for each layer; this value never changes."""
        return self

    @property
    def is_query(self) -> bool:
        """Whether it only reads rows."""
        return self.name.startswith("query.")


def _lets_in(name: str, **values: Any) -> Action:
    return Action(name=name, at_once=True, goes_on=False, **values)


def _adds(name: str, **values: Any) -> Action:
    return Action(name=name, at_once=True, adds=True, goes_on=False, **values)


def _frees(name: str, **values: Any) -> Action:
    return Action(name=name, at_once=True, **values)


LOG_IN = _lets_in("auth.login", of="username", account=True)
FOLLOW_LINK = _lets_in("auth.link")
REFRESH = _lets_in("auth.refresh")
LOG_OUT = _frees("auth.logout")
CREATE_USER = _adds("user.create", of="username", shown=("role",))
CHANGE_USER = _frees("user.change", account=True, shown=("role", "disabled"))
CHANGE_PASSWORD = _frees("user.password")
DELETE_USER = _frees("user.delete", account=True)
CREATE_KEY = _adds("key.create", of="name", shown=("role", "owner"))
CHANGE_KEY = _frees("key.change", shown=("role",))
DELETE_KEY = _frees("key.delete")
CREATE_PIPELINE = _adds("pipeline.create", of="name")
CHANGE_PIPELINE = _adds("pipeline.change")
CREATE_KEY = _adds("key.create", of="name", shown=("role",))
CHANGE_KEY = _frees("key.change", account=True)
DELETE_KEY = _frees("key.delete", account=True)
SHARE_PIPELINE = _frees("pipeline.share", shown=("visibility", "owner"))
DELETE_PIPELINE = _frees("pipeline.delete", shown=("purge",))
DELETE_VERSION = _frees("version.delete")
RESTORE_VERSION = _adds("version.restore", shown=("state",))
DELETE_FILE = _frees("file.delete")
DELETE_TAG = _frees("tag.delete")
DELETE_QUERY = _frees("saved_query.delete")
RESTORE = _frees("backup.restore")
"""Of a command only."""
BACK_UP = _adds("backup.create", of="directory")

EXECUTE = Action(name="run.execute", shown=("full_refresh",))
REPLAY = Action(name="run.replay", shown=("version",))
CANCEL = Action(name="run.cancel")
ACCEPT = Action(name="version.accept")
REJECT = Action(name="version.reject")
PIN = Action(name="version.pin")
UNPIN = Action(name="version.unpin")
TAG = Action(name="version.tag", shown=("tag",))
UPLOAD = Action(name="file.upload")
PAUSE = Action(name="schedule.pause")
RESUME = Action(name="schedule.resume")
SAVE_QUERY = Action(name="saved_query.put", query="sql", shown=("public",))
VERIFY = Action(name="data.verify")
PREVIEW = Action(name="pipeline.preview", of="name")
PROBE = Action(name="source.probe")

QUERY = Action(name="query.run", query="sql")
ANSWER_QUERY = Action(name="query.saved")
READ_ROWS = Action(name="query.data", query="filter", filtered=True)
