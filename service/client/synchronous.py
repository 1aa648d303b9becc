"""The client: a service's pipelines, runs, data and queries as methods and Polars frames."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
import polars as pl

from service.client import calls, notebook, session
from service.client.accounts import Accounts
from service.client.answers import JsonObject, Pipeline, Run, Saved, SavedQuery, Schedule, Version
from service.client.calls import Call, Parameters, Records
from service.client.errors import NoService, RunFailed, ServiceError
from service.client.notebook import Report
from service.client.progress import Advance, EventParser, shown
from service.client.session import Session

T = TypeVar("T")
LOCAL = "http://127.0.0.1:8000"
_AGAIN_SECONDS = 0.2  # a stream that ended before its run: the service is stopping, or a proxy cut it


class Penstock(Accounts):
    """A service at ``url``, used with a ``token``, or by ``username`` and ``password``; else with PENSTOCK_TOKEN.

    Requests that the service is too busy for are sent again up to ``retries`` times, after the time that it names.
    ``timeout`` is in seconds, for one answer. Methods raise ``ServiceError`` (a class for each kind) and ``NoService``.
    """

    def __init__(
        self,
        url: str = LOCAL,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float = 120.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._session = Session(token, username, password, retries)
        base, limits = url.rstrip("/") + "/api/v1/", httpx.Timeout(timeout, connect=10.0)
        self._http = httpx.Client(base_url=base, timeout=limits, transport=transport)

    def __enter__(self) -> Penstock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Log out, if this client logged in, and close the connections."""
        if self._session.logged_in:
            with contextlib.suppress(ServiceError, NoService):
                self._once(calls.log_out())
        self._http.close()

    # pipelines

    def create(self, document: JsonObject) -> Saved:
        """Create a pipeline from its configuration."""
        return self._ask(calls.create(document))

    def update(self, document: JsonObject, *, revision: int | None = None) -> Saved:
        """Change a configuration; with ``revision`` only if that is the present one."""
        return self._ask(calls.update(document, revision))

    def validate(self, document: JsonObject) -> JsonObject:
        """Check a configuration. Raises ``InvalidError`` whose ``problems`` list everything wrong."""
        return self._ask(calls.validate(document))

    def plan(self, document: JsonObject) -> JsonObject:
        """What a run of a configuration would do."""
        return self._ask(calls.plan(document))

    def preview(self, document: JsonObject, *, rows: int = 100) -> JsonObject:
        """The first rows through the steps of a configuration; nothing is stored."""
        return self._ask(calls.preview(document, rows))

    def pipelines(self) -> list[Pipeline]:
        """Every pipeline, by name."""
        return self._all(calls.pipelines())

    def config(self, name: str, *, revision: int | None = None) -> JsonObject:
        """The configuration of a pipeline, secrets masked."""
        return self._ask(calls.config(name, revision))

    def delete(self, name: str, *, purge: bool = False) -> None:
        """Delete a pipeline; with ``purge`` its stored versions, too."""
        self._ask(calls.delete(name, purge))

    def upload(self, path: str, content: bytes | Path) -> JsonObject:
        """Upload a file that collectors can read by ``path``."""
        return self._ask(calls.upload(path, content.read_bytes() if isinstance(content, Path) else content))

    # runs

    def execute(
        self,
        name: str,
        *,
        wait: bool = True,
        progress: bool | Advance = True,
        check: bool = True,
        full_refresh: bool = False,
    ) -> Run:
        """Run a pipeline and wait for the end, as ``wait``; without ``wait`` the run as it begins."""
        run = self._ask(calls.execute(name, full_refresh))
        return self.wait(run, progress=progress, check=check) if wait else run

    def wait(self, run: Run | str, *, progress: bool | Advance = True, check: bool = True) -> Run:
        """The run when it has ended. A bar shows its progress in terminals and notebooks, unless ``progress`` is False.

        A function as ``progress`` gets each event. Raises ``RunFailed`` if no version was stored, unless ``check`` is
        False.
        """
        run_id = run if isinstance(run, str) else run.run_id
        with shown(run_id if isinstance(run, str) else run.pipeline, progress) as advance:
            self._follow(run_id, advance)
        ended = self.run(run_id)
        if check and not ended.stored:
            raise RunFailed(ended)
        return ended

    def run(self, run_id: str) -> Run:
        """A run as it is now."""
        return self._ask(calls.run(run_id))

    def runs(self, name: str, *, status: str | None = None) -> list[Run]:
        """The runs of a pipeline, newest first."""
        return self._all(calls.runs(name, status))

    def cancel(self, run: Run | str) -> Run:
        """Cancel a run."""
        return self._ask(calls.cancel(run if isinstance(run, str) else run.run_id))

    def status(self, name: str) -> JsonObject:
        """The state of the newest run, and when the next one begins."""
        return self._ask(calls.information(name, "status"))

    def stats(self, name: str) -> JsonObject:
        """Statistics over all runs."""
        return self._ask(calls.information(name, "stats"))

    # data

    def data(
        self,
        name: str,
        *,
        version: int | str | None = None,
        columns: Sequence[str] | None = None,
        filter: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> pl.DataFrame:
        """The rows of the newest version, or of ``version``, a number or a tag."""
        chosen = list(columns) if columns is not None else None
        return self._ask(calls.data(name, {"version": version, "columns": chosen, "filter": filter, "sort": sort,
                                           "limit": limit, "offset": offset}))  # fmt: skip

    def query(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        limit: int | None = None,
        timeout_seconds: float | None = None,
    ) -> pl.DataFrame:
        """The rows of a SELECT; ``parameters`` are the values of ``?`` (a list) or ``$name`` (a mapping)."""
        return self._ask(calls.sql(sql, parameters, limit, timeout_seconds))

    def answer(self, name: str, **parameters: Any) -> pl.DataFrame:
        """The rows of a saved query with these parameters."""
        return self._ask(calls.answer(name, parameters))

    def row(
        self, name: str, *key: Any, columns: Sequence[str] | None = None, version: int | str | None = None
    ) -> dict[str, Any]:
        """The row with a key, one value for each of its columns. Raises ``NotFoundError`` if there is none."""
        chosen = list(columns) if columns is not None else None
        return self._ask(calls.row(name, key, {"columns": chosen, "version": version}))

    def rows(
        self, name: str, keys: Iterable[Any], *, columns: Sequence[str] | None = None, version: int | str | None = None
    ) -> pl.DataFrame:
        """The rows with these keys, in their order; keys that no row has are left out.

        A key of several columns is a tuple.
        """
        return self._ask(calls.rows(name, keys, columns, version))

    def apply(
        self, name: str, records: Records, *, version: int | str | None = None, index: str | None = None
    ) -> pl.DataFrame:
        """The rows that a version's steps make of records, as its own rows were made; records are a frame or mappings.

        ``index`` adds a first column of this name with the index of the record of each row.
        """
        return self._ask(calls.apply(name, records, {"version": version, "index": index}))

    def save_query(self, name: str, sql: str, **settings: Any) -> SavedQuery:
        """Save a query: ``description``, ``parameters``, ``max_rows``, ``cache_seconds``, ``public``."""
        return self._ask(calls.save_query(name, {"sql": sql, **settings}))

    def queries(self) -> list[SavedQuery]:
        """The saved queries, by name."""
        return self._all(calls.queries())

    def delete_query(self, name: str) -> None:
        """Remove a saved query."""
        self._ask(calls.delete_query(name))

    def schema(self, name: str, *, version: int | str | None = None) -> JsonObject:
        """The columns of a version with their statistics."""
        return self._ask(calls.information(name, "schema", version=version))

    def profile(self, name: str, *, version: int | str | None = None) -> Report:
        """What the analyzers of a pipeline found."""
        return self._ask(calls.profile(name, version))

    def lineage(self, name: str) -> JsonObject:
        """What is upstream and downstream of a pipeline."""
        return self._ask(calls.information(name, "lineage"))

    # versions

    def versions(self, name: str) -> list[Version]:
        """The versions of a pipeline, newest first."""
        return self._all(calls.versions(name))

    def version(self, name: str, number: int | str) -> Version:
        """A version, by number or tag."""
        return self._ask(calls.version(name, number))

    def diff(
        self, name: str, number: int | str, *, against: int | str | None = None, key: Sequence[str] | None = None
    ) -> Report:
        """What differs between a version and the one before it, or ``against`` another one."""
        return self._ask(calls.diff(name, number, against, key))

    def tags(self, name: str) -> dict[str, int]:
        """The tags of a pipeline's versions, and the version that each names."""
        return {tag: version.version for version in self.versions(name) for tag in version.tags}

    def tag(self, name: str, number: int | str, tag: str) -> Version:
        """Let a tag name a version."""
        return self._ask(calls.change_version(name, number, "tag", {"tag": tag}))

    def untag(self, name: str, tag: str) -> None:
        """Remove a tag."""
        self._ask(calls.untag(name, tag))

    def pin(self, name: str, number: int | str) -> Version:
        """Keep a version until it is unpinned."""
        return self._ask(calls.change_version(name, number, "pin"))

    def unpin(self, name: str, number: int | str) -> Version:
        """Let retention remove a version again."""
        return self._ask(calls.change_version(name, number, "unpin"))

    def restore(self, name: str, number: int | str) -> Version:
        """Make the rows of an earlier version the newest version."""
        return self._ask(calls.change_version(name, number, "restore"))

    def accept(self, name: str, number: int | str) -> Version:
        """Publish a held version."""
        return self._ask(calls.change_version(name, number, "accept"))

    def reject(self, name: str, number: int | str) -> None:
        """Delete a held version."""
        self._ask(calls.reject(name, number))

    def delete_version(self, name: str, number: int | str) -> None:
        """Delete a version that is neither the newest, nor pinned, tagged or in use."""
        self._ask(calls.delete_version(name, number))

    # schedules

    def schedules(self) -> list[Schedule]:
        """The schedules, by the name of their pipeline."""
        return self._all(calls.schedules())

    def pause_schedule(self, name: str) -> Schedule:
        """Stop a schedule until it is resumed."""
        return self._ask(calls.schedule(name, "pause"))

    def resume_schedule(self, name: str) -> Schedule:
        """Let a paused schedule fire again."""
        return self._ask(calls.schedule(name, "resume"))

    # requests

    def _all(self, call: Call[tuple[list[T], int]]) -> list[T]:
        found: list[T] = []
        while True:
            part, total = self._ask(calls.pages(call, len(found)))
            found += part
            if not part or len(found) >= total:
                return found

    def _ask(self, call: Call[T]) -> T:
        attempt, renewed = 1, False
        while True:
            try:
                if self._session.must_log_in:
                    self._log_in()
                return notebook.linked(call.decode(self._once(call)), self._page)
            except (ServiceError, NoService) as error:
                if isinstance(error, ServiceError) and not renewed and self._session.may_renew(error):
                    renewed = True
                    self._renew()
                    continue
                if (seconds := self._session.pause(error, attempt)) is None:
                    raise
                attempt += 1
                time.sleep(seconds)

    def _page(self, path: str, query: Mapping[str, Any]) -> bytes:
        return self._once(calls.page(path, query))

    def _once(self, call: Call[Any]) -> bytes:
        try:
            response = self._http.request(
                call.method, call.path, params=call.parameters, json=call.body, content=call.content,
                headers=self._session.headers(call),
            )  # fmt: skip
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise session.unreached(error) from error
        if (refused := session.failure(response)) is not None:
            raise refused
        return response.content

    def _log_in(self) -> None:
        assert self._session.credentials is not None
        call = calls.token(*self._session.credentials)
        self._session.keep(call.decode(self._once(call)))

    def _renew(self) -> None:
        token = self._session.refresh_token
        self._session.forget()
        if token is not None:
            call = calls.refresh(token)
            with contextlib.suppress(ServiceError):  # then the next try logs in
                self._session.keep(call.decode(self._once(call)))

    def _follow(self, run_id: str, advance: Advance) -> None:
        """Pass the events of a run on until it has ended, also over connections that break."""
        parser, attempt, headers = EventParser(), 1, dict[str, str]()
        while True:
            try:
                if self.run(run_id).ended:  # this also logs in, and renews the token
                    return
                call = Call("GET", f"runs/{run_id}/events", bytes, headers=headers)
                with self._http.stream(call.method, call.path, headers=self._session.headers(call)) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise session.failure(response) or NoService("the service refused")
                    for part in response.iter_bytes():
                        for kind, event in parser.feed(part):
                            attempt = 1
                            if kind in ("status", "progress", "end"):
                                advance(event)
                headers = parser.reconnect()
                if not self.run(run_id).ended:
                    time.sleep(_AGAIN_SECONDS)
            except (ServiceError, httpx.TransportError) as error:
                known = error if isinstance(error, ServiceError) else session.unreached(error)
                if (seconds := self._session.pause(known, attempt)) is None:
                    raise known from None
                attempt, headers = attempt + 1, parser.reconnect()
                time.sleep(seconds)
