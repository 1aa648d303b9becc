"""Foreign errors become ours: the table is complete, texts carry no path, the step is named."""

from __future__ import annotations

import errno
import inspect

import polars as pl
import pytest

from service.kit import errors
from service.values import cast, polars_errors

RAISED = sorted(
    {
        c
        for c in vars(pl.exceptions).values()
        if inspect.isclass(c) and issubclass(c, BaseException) and not issubclass(c, Warning)
    },
    key=lambda c: c.__name__,
)


@pytest.mark.parametrize("kind", RAISED, ids=lambda c: c.__name__)
def test_every_exception_of_polars_is_on_the_table(kind: type[BaseException]) -> None:
    assert kind in polars_errors.TABLE
    translated = polars_errors.translate(kind("boom"), "storage[0]")
    assert isinstance(translated, errors.Permanent)
    assert translated.details == {"step": "storage[0]"}
    assert "boom" in translated.message


def test_there_are_exceptions_to_check() -> None:
    assert len(RAISED) > 12


@pytest.mark.parametrize(
    ("error", "family", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), errors.Transient, "the disk is full"),
        (OSError("No space left on device (os error 28)"), errors.Transient, "the disk is full"),
        (OSError(errno.EMFILE, "Too many open files"), errors.Transient, "lacks a resource"),
        (OSError(errno.EACCES, "Permission denied", "/srv/data/x.csv"), errors.Permanent, "x.csv"),
        (MemoryError(), errors.Permanent, "PENSTOCK_RUN_MEMORY_LIMIT"),
        (RuntimeError("odd"), errors.Permanent, "unexpected RuntimeError: odd"),
    ],
)
def test_the_disk_and_the_rest(error: BaseException, family: type[errors.StepError], message: str) -> None:
    translated = polars_errors.translate(error, None)
    assert type(translated) is family
    assert message in translated.message
    assert "/srv" not in translated.message


def test_texts_are_cut_to_what_a_person_needs() -> None:
    long = pl.exceptions.ComputeError(
        "bad value in file:///srv/warehouse/.staging/r1/stage-1.parquet\n\nResolved plan: FILTER …"
    )
    assert polars_errors.translate(long, None).message == "bad value in stage-1.parquet"
    assert len(polars_errors.translate(pl.exceptions.ComputeError("x" * 10_000), None).message) == 600


def test_step_errors_stay_and_learn_their_step() -> None:
    known = errors.Permanent("x", step="a")
    assert polars_errors.translate(known, "b") is known
    assert known.details["step"] == "a"
    with pytest.raises(errors.Transient) as caught, polars_errors.attributed("b"):
        raise errors.Transient("later", delay=3)
    assert caught.value.details == {"delay": 3, "step": "b"}


@pytest.mark.parametrize(
    "value", ["x", 'a "quoted" one', "braces {}", "back\\slash", "line\nbreak", "x" * 2000, 'end"]', "|bar|"]
)
@pytest.mark.parametrize("at", [None, ("processors[0]", "config.cast.a|b")])
def test_a_refused_value_is_found_in_the_engine_s_words(value: str, at: tuple[str, str] | None) -> None:
    frame = pl.LazyFrame({"v": ["1", value]})
    expression = cast.cast("v", pl.String(), pl.Int64(), strict=True, at=at)
    with pytest.raises(errors.Permanent) as caught, polars_errors.attributed("storage[0]"):
        frame.select(expression).collect(engine="streaming")
    assert caught.value.message.startswith("column 'v': " + value[:1])
    assert caught.value.details["step"] == (at[0] if at else "storage[0]")
    assert caught.value.details.get("field") == (at[1] if at else None)
