"""Workers that apply versions are kept: each for its version, and with nothing of one request for the next."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import signal
import struct
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.kit import errors
from service.processes import watch
from service.processes.limits import Limits
from tests.acceptance.applying import Applying, run
from tests.unit.jobs.walking import cleaner, records, transformer

SOURCE = pl.DataFrame({"id": [1, 2, 3], "v": [1.0, 2.0, 6.0], "c": ["x", "y", "x"]})
STEPS = (
    cleaner(cast={"c": "categorical"}, filter="v < 100"),
    transformer(normalize={"v": "minmax"}, encode={"c": {"method": "ordinal", "handle_unknown": "fail", "into": "n"}}),
)
RECORD = {"id": 7, "v": 6.0, "c": "y"}
SECRET = "a-text-of-somebody-else"


def ipc(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_ipc_stream(sink)
    return sink.getvalue()


def test_one_worker_answers_in_all_formats(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *STEPS)
        wanted = [{"id": 7, "v": 1.0, "c": "y", "n": 1}]
        assert await made.rows(version, [RECORD]) == wanted
        (worker,) = made.kept
        ndjson = await made.apply(version, msgspec.json.encode(RECORD) + b"\n\n", given="ndjson", wanted="ndjson")
        assert [msgspec.json.decode(line) for line in ndjson.content.splitlines()] == wanted
        arrow = await made.apply(version, ipc(pl.DataFrame([RECORD])), given="arrow", wanted="arrow", index="place")
        frame = pl.read_ipc_stream(arrow.content)
        assert frame.with_columns(pl.col("c").cast(pl.String)).to_dicts() == [{"place": 0, **wanted[0]}]
        assert frame.schema["c"] == pl.Categorical
        gone = await made.apply(version, [{**RECORD, "v": 100.0}, RECORD], index="place", wanted="ndjson")
        assert (gone.dropped, msgspec.json.decode(gone.content)["place"]) == (1, 1)
        assert made.kept == [worker]

    run(tmp_path, act)


def test_a_worker_may_read_its_fit_record_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(made: Applying) -> list[Limits]:
        seen: list[Limits] = []
        spares = made.runner.resources.spares
        start = spares.start

        async def noting(entry: Any, order: bytes, limits: Limits) -> Any:
            seen.append(limits)
            return await start(entry, order, limits)

        monkeypatch.setattr(spares, "start", noting)
        version = made.store("orders", SOURCE, *STEPS)
        await made.rows(version, [RECORD])
        (folder,) = made.folders
        assert seen[0].write == (str(folder / "scratch"),)
        return seen

    (limits,) = run(tmp_path, act)
    assert limits.read == (str(tmp_path / "warehouse" / "orders" / "v000001" / "tape.json"),)
    assert (limits.network, limits.sandbox) == (False, True)
    assert limits.give_way < Limits(memory_bytes=1).give_way, "a run waits before one whose answer somebody waits for"


def test_each_version_has_its_own_worker_and_the_one_used_least_recently_goes(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        versions = [made.store(name, SOURCE, *STEPS) for name in ("a", "b", "c")]
        for version in versions[:2]:
            await made.rows(version, [RECORD])
        a, b = made.kept
        await made.rows(versions[0], [RECORD])
        assert made.kept == [b, a]
        await made.rows(versions[2], [RECORD])
        assert made.kept[0] is a, "b waited longest"
        with made.runner._appliers.displacing():
            assert len(made.kept) == 1, "another task takes a place"
        assert [worker.key[0] for worker in made.kept] == ["c"]

    run(tmp_path, act, most=2)


def test_what_ends_a_worker_and_what_does_not(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *STEPS)
        await made.rows(version, [RECORD])
        (worker,) = made.kept
        refused_ones: list[Any] = [b"[nope]", [{**RECORD, "v": "many"}], [{}], [RECORD] * 10_001]
        for wrong in refused_ones:
            with pytest.raises(errors.Invalid):
                await made.apply(version, wrong)
        with pytest.raises(errors.Invalid, match="have a column 'n'"):
            await made.apply(version, [RECORD], index="N")
        assert made.kept == [worker], "records that do not fit harm nobody"

        with pytest.raises(errors.Invalid, match="not a known category") as refused:
            await made.apply(version, [RECORD, {**RECORD, "c": SECRET}])
        assert refused.value.details["field"] == "records[1]"
        assert made.kept == [], "after an error of an engine another one answers"

        assert await made.rows(version, [RECORD])
        os.kill(made.kept[0].child.pid, signal.SIGKILL)
        assert await made.rows(version, [RECORD]), "a new one answers what a lost one was asked"

        os.kill(made.kept[0].child.pid, signal.SIGSTOP)
        with pytest.raises(errors.TimedOut):
            await made.apply(version, [RECORD], seconds=0.5)
        assert made.kept == [], "a deadline ends it"
        assert await made.rows(version, [RECORD])

    run(tmp_path, act)


def test_what_is_too_much_for_a_kept_worker_is_done_by_a_new_one(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *STEPS)
        await made.rows(version, [RECORD])
        (worker,) = made.kept
        _, hard = resource.prlimit(worker.child.pid, resource.RLIMIT_DATA)
        held, _ = watch.held(worker.child.pid)
        resource.prlimit(worker.child.pid, resource.RLIMIT_DATA, (held, hard))
        assert len(await made.rows(version, [RECORD] * 9_000)) == 9_000
        assert worker not in made.kept

    run(tmp_path, act)


def test_a_version_that_is_to_be_deleted_is_let_go(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *STEPS)
        other = made.store("towns", SOURCE, *STEPS)
        await made.rows(version, [RECORD])
        await made.rows(other, [RECORD])
        assert not made.runner.reads(made.layout.version("orders", 1))
        assert [worker.key[0] for worker in made.kept] == ["towns"]

    run(tmp_path, act)


def test_many_requests_at_once_are_answered_by_few_workers(tmp_path: Path) -> None:
    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *STEPS)
        given = [{**RECORD, "id": number} for number in range(40)]
        answers = await asyncio.gather(*(made.rows(version, [one]) for one in given))
        assert [rows[0]["id"] for rows in answers] == list(range(40))
        assert len(made.kept) <= 2

    run(tmp_path, act)


def test_an_answer_has_nothing_of_another_request(tmp_path: Path) -> None:
    """One request leaves texts wherever an engine may keep them; answers, errors and dictionaries do not show them."""
    steps = (
        cleaner(cast={"c": "categorical"}, replace={"c": {"x": "z"}}),
        {"type": "sql", "config": {"query": "SELECT *, c || '!' AS loud FROM input WHERE id > 0"}},
        transformer(derive={"size": "length(loud)"}, encode={"c": {"method": "frequency", "into": "share"}}),
    )

    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, *steps)
        alone = [await made.apply(version, records(SOURCE), wanted=wanted) for wanted in ("json", "arrow")]
        (worker,) = made.kept
        strange = [{"id": -1, "v": 1e300, "c": SECRET}, {"id": 2, "v": None, "c": SECRET * 1000}]
        for wanted in ("json", "ndjson", "arrow"):
            assert SECRET.encode() in (await made.apply(version, strange, wanted=wanted)).content
        with pytest.raises(errors.Invalid) as refused:
            await made.apply(version, [{"id": 1, "v": 1.0, "c": 5}])
        assert SECRET not in str(refused.value.as_body())
        again = [await made.apply(version, records(SOURCE), wanted=wanted) for wanted in ("json", "arrow")]
        assert [a.content for a in again] == [a.content for a in alone]
        assert made.kept == [worker], "the worker that had them answered"
        assert list((worker.folder / "scratch").iterdir()) == []
        assert (worker.folder / ".stderr").read_bytes() == b""

    run(tmp_path, act)


def test_a_stream_cannot_read_memory_that_is_not_its_own(tmp_path: Path) -> None:
    """Offsets of texts that lead out of their buffer are refused, before any step sees them."""
    frame = pl.DataFrame([{**RECORD, "c": "0123456789abcdef"}] * 4)
    sink = io.BytesIO()
    frame.write_ipc_stream(sink, compat_level=pl.CompatLevel.oldest())
    good = sink.getvalue()
    offsets = struct.pack("<5q", 0, 16, 32, 48, 64)
    assert good.count(offsets) == 1
    bad = [struct.pack("<5q", 0, 16, 32, 48, 1 << 30), struct.pack("<5q", 0, -(1 << 20), 32, 48, 64)]

    async def act(made: Applying) -> None:
        version = made.store("orders", SOURCE, cleaner(strip_strings=True))
        assert (await made.rows(version, good, given="arrow"))[3]["c"] == "0123456789abcdef"
        (worker,) = made.kept
        for lie in bad:
            with pytest.raises(errors.Invalid, match="not an Arrow IPC stream"):
                await made.apply(version, good.replace(offsets, lie), given="arrow")
        for cut in range(0, len(good) - 8, 97):
            with pytest.raises(errors.Invalid):
                await made.apply(version, good[:cut], given="arrow")
        assert made.kept == [worker]

    run(tmp_path, act)
