"""Each route that the client uses as a value: its request, and how its answer is decoded. No request is made here."""

from __future__ import annotations

import io
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
import polars as pl

from service.client.answers import Account, ApiKey, JsonObject, Pipeline, Run, Saved, SavedQuery, Schedule, Version
from service.client.notebook import Report

T = TypeVar("T")
Query = Mapping[str, Any]
Parameters = Mapping[str, Any] | Sequence[Any]
Records = pl.DataFrame | Iterable[Mapping[str, Any]]
_PAGE = 1000


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request below ``/api/v1/`` and the decoder of its answer.

    It may be sent again: a POST that does something has a key.
    """

    method: str
    path: str
    decode: Callable[[bytes], T]
    query: Query = field(default_factory=dict)
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """The query string: None is left out, lists are joined by commas."""
        return {name: _text(value) for name, value in self.query.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _json(value: Any) -> Any:
    """A value of a key as JSON has it: what is not a text, a number or a truth value is its text."""
    return value if isinstance(value, str | int | float | bool | None) else _text(value)


def _parameter(value: Any) -> Any:
    """A value of a statement as JSON has it: dates, decimals and large numbers are texts, which SQL reads."""
    if isinstance(value, Mapping):
        return {name: _parameter(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_parameter, value))
    if isinstance(value, bytes | bytearray):
        raise TypeError("a parameter cannot be bytes; send their text and write unhex(?) or from_base64(?)")
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} microseconds"
    if isinstance(value, bool | str | None) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else _text(value)


def pages(call: Call[T], offset: int) -> Call[T]:
    """The page of a list that begins at ``offset``."""
    return Call(call.method, call.path, call.decode, {**call.query, "limit": _PAGE, "offset": offset})


def items(kind: type[T]) -> Callable[[bytes], tuple[list[T], int]]:
    """A decoder of a page: its items, and how many there are in all."""

    def decode(content: bytes) -> tuple[list[T], int]:
        page = json.loads(content)
        return msgspec.convert(page["items"], list[kind]), int(page["total"])  # type: ignore[valid-type]

    return decode


def _as(kind: type[T]) -> Callable[[bytes], T]:
    return lambda content: msgspec.json.decode(content, type=kind)


def _object(content: bytes) -> JsonObject:
    found: JsonObject = json.loads(content)
    return found


def _report(path: str, query: Query) -> Callable[[bytes], Report]:
    return lambda content: Report(json.loads(content), (path, query))


def _nothing(content: bytes) -> None:
    return None


def _frame(content: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(content))


def _at(*parts: str | int) -> str:
    return "/".join(quote(str(part), safe="") for part in parts)


def _key(key: str | None = None) -> dict[str, str]:
    return {"idempotency-key": key or str(uuid.uuid4())}


def create(document: JsonObject) -> Call[Saved]:
    return Call("POST", "pipeline/create", _as(Saved), body=document, headers=_key())


def update(document: JsonObject, revision: int | None) -> Call[Saved]:
    headers = {"if-match": f'"{revision}"'} if revision is not None else {}
    return Call("PUT", _at("pipeline", document["name"], "config"), _as(Saved), body=document, headers=headers)


def validate(document: JsonObject) -> Call[JsonObject]:
    return Call("POST", "pipeline/validate", _object, body=document)


def plan(document: JsonObject) -> Call[JsonObject]:
    return Call("POST", "pipeline/plan", _object, body=document)


def preview(document: JsonObject, rows: int) -> Call[JsonObject]:
    return Call("POST", "pipeline/preview", _object, {"rows": rows}, body=document)


def pipelines() -> Call[tuple[list[Pipeline], int]]:
    return Call("GET", "pipeline", items(Pipeline))


def config(name: str, revision: int | None) -> Call[JsonObject]:
    return Call("GET", _at("pipeline", name, "config"), _object, {"revision": revision})


def delete(name: str, purge: bool) -> Call[JsonObject]:
    return Call("DELETE", _at("pipeline", name), _object, {"purge": purge})


def execute(name: str, full_refresh: bool) -> Call[Run]:
    query = {"wait": 0, "full_refresh": full_refresh}
    return Call("POST", _at("pipeline", name, "execute"), _as(Run), query, headers=_key())


def run(run_id: str) -> Call[Run]:
    return Call("GET", _at("runs", run_id), _as(Run))


def runs(name: str, status: str | None) -> Call[tuple[list[Run], int]]:
    return Call("GET", _at("pipeline", name, "runs"), items(Run), {"status": status})


def cancel(run_id: str) -> Call[Run]:
    return Call("POST", _at("runs", run_id, "cancel"), _as(Run))


def information(name: str, what: str, **query: Any) -> Call[JsonObject]:
    """An object about a pipeline: its status, stats, schema or lineage."""
    return Call("GET", _at("pipeline", name, what), _object, query)


def profile(name: str, version: int | str | None) -> Call[Report]:
    path, query = _at("pipeline", name, "profile"), {"version": version}
    return Call("GET", path, _report(path, query), query)


def page(path: str, query: Query) -> Call[bytes]:
    """The page of an answer."""
    return Call("GET", path, bytes, query, headers={"accept": "text/html"})


def data(name: str, query: Query) -> Call[pl.DataFrame]:
    return Call("GET", _at("pipeline", name, "data"), _frame, {**query, "format": "arrow"})


def sql(statement: str, parameters: Parameters | None, limit: int | None, seconds: float | None) -> Call[pl.DataFrame]:
    values = None if parameters is None else _parameter(parameters)
    given = {"sql": statement, "parameters": values, "limit": limit, "timeout_seconds": seconds}
    body = {name: value for name, value in given.items() if value is not None}
    return Call("POST", "query", _frame, {"format": "arrow"}, body=body)


def answer(name: str, parameters: Query) -> Call[pl.DataFrame]:
    return Call("GET", _at("q", name), _frame, {**parameters, "format": "arrow"})


def row(name: str, key: Sequence[Any], query: Query) -> Call[dict[str, Any]]:
    path = _at("pipeline", name, "rows") + "/" + ",".join(quote(_text(part), safe="") for part in key)
    return Call("GET", path, lambda content: _frame(content).row(0, named=True), {**query, "format": "arrow"})


def rows(
    name: str, keys: Iterable[Any], columns: Sequence[str] | None, version: int | str | None
) -> Call[pl.DataFrame]:
    given = [list(map(_json, key)) if isinstance(key, list | tuple) else _json(key) for key in keys]
    body = {"keys": given, **({"columns": list(columns)} if columns is not None else {})}
    return Call("POST", _at("pipeline", name, "rows"), _frame, {"version": version, "format": "arrow"}, body=body)


def apply(name: str, records: Records, query: Query) -> Call[pl.DataFrame]:
    if isinstance(records, pl.DataFrame):
        stream = io.BytesIO()
        records.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
        content, media = stream.getvalue(), "application/vnd.apache.arrow.stream"
    else:
        content, media = msgspec.json.Encoder().encode_lines(list(records)), "application/x-ndjson"
    return Call(
        "POST", _at("pipeline", name, "apply"), _frame, {**query, "format": "arrow"}, content=content,
        headers={"content-type": media},
    )  # fmt: skip


def save_query(name: str, definition: JsonObject) -> Call[SavedQuery]:
    return Call("PUT", _at("queries", name), _as(SavedQuery), body=definition)


def queries() -> Call[tuple[list[SavedQuery], int]]:
    return Call("GET", "queries", items(SavedQuery))


def delete_query(name: str) -> Call[None]:
    return Call("DELETE", _at("queries", name), _nothing)


def versions(name: str) -> Call[tuple[list[Version], int]]:
    return Call("GET", _at("pipeline", name, "versions"), items(Version))


def version(name: str, number: int | str) -> Call[Version]:
    return Call("GET", _at("pipeline", name, "versions", number), _as(Version))


def diff(name: str, number: int | str, against: int | str | None, key: Sequence[str] | None) -> Call[Report]:
    query = {"against": against, "key": list(key) if key is not None else None}
    path = _at("pipeline", name, "versions", number, "diff")
    return Call("GET", path, _report(path, query), query)


def change_version(name: str, number: int | str, verb: str, body: JsonObject | None = None) -> Call[Version]:
    """What is done with a version that stays: pin, unpin, tag, restore or accept it."""
    headers = _key() if verb in ("restore", "accept") else {}
    return Call("POST", _at("pipeline", name, "versions", number, verb), _as(Version), body=body, headers=headers)


def reject(name: str, number: int | str) -> Call[None]:
    return Call("POST", _at("pipeline", name, "versions", number, "reject"), _nothing)


def delete_version(name: str, number: int | str) -> Call[None]:
    return Call("DELETE", _at("pipeline", name, "versions", number), _nothing)


def untag(name: str, tag: str) -> Call[None]:
    return Call("DELETE", _at("pipeline", name, "tags", tag), _nothing)


def schedules() -> Call[tuple[list[Schedule], int]]:
    return Call("GET", "schedules", items(Schedule))


def schedule(name: str, verb: str) -> Call[Schedule]:
    return Call("POST", _at("pipeline", name, "schedule", verb), _as(Schedule))


def upload(path: str, content: bytes) -> Call[JsonObject]:
    return Call("PUT", "files/" + quote(path), _object, content=content)


def users() -> Call[tuple[list[Account], int]]:
    return Call("GET", "users", items(Account))


def add_user(username: str, password: str, role: str) -> Call[Account]:
    body = {"username": username, "password": password, "role": role}
    return Call("POST", "users", _as(Account), body=body, headers=_key())


def change_user(username: str, changes: JsonObject) -> Call[Account]:
    return Call("PATCH", _at("users", username), _as(Account), body=changes)


def delete_user(username: str) -> Call[None]:
    return Call("DELETE", _at("users", username), _nothing)


def change_password(old: str, new: str) -> Call[None]:
    return Call("POST", "auth/password", _nothing, body={"old": old, "new": new})


def token(username: str, password: str) -> Call[JsonObject]:
    return Call("POST", "auth/token", _object, body={"username": username, "password": password})


def refresh(token: str) -> Call[JsonObject]:
    return Call("POST", "auth/refresh", _object, body={"refresh_token": token})


def log_out() -> Call[None]:
    return Call("POST", "auth/logout", _nothing)


def keys() -> Call[tuple[list[ApiKey], int]]:
    return Call("GET", "keys", items(ApiKey))


def make_key(definition: JsonObject) -> Call[ApiKey]:
    return Call("POST", "keys", _as(ApiKey), body=definition, headers=_key())


def change_key(id_: str, changes: JsonObject) -> Call[ApiKey]:
    return Call("PATCH", _at("keys", id_), _as(ApiKey), body=changes)


def delete_key(id_: str) -> Call[None]:
    return Call("DELETE", _at("keys", id_), _nothing)


def share(name: str, changes: JsonObject) -> Call[JsonObject]:
    return Call("PATCH", _at("pipeline", name), _object, body=changes)
