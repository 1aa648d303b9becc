"""Cron expressions against a clock that is looked at every minute, where clocks change and elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.cron import Cron, check
from tests.examples import examples
from tests.unit.model.wall_clock import CHANGES, EXPRESSIONS, MINUTE, fires

BERLIN = ZoneInfo("Europe/Berlin")


def _found(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    cron, moment, found = Cron(expression), start - MINUTE, []
    while (moment := cron.after(moment, zone)) < end:
        found.append(moment)
    return found


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_around_a_change_of_the_clock(change: str, expression: str) -> None:
    name, start, days = CHANGES[change]
    zone, end = ZoneInfo(name), start + timedelta(days=days)
    expected = fires(expression, zone, start, end)
    assert _found(expression, zone, start, end) == expected
    latest = Cron(expression).latest(start - MINUTE, end - MINUTE, zone)
    assert latest == (expected[-1] if expected else None)


_MINUTES = st.sampled_from(["*", "*/7", "0", "30", "5,50", "10-20/5"])
_HOURS = st.sampled_from(["*", "*/2", "*/5", "0-23/3", "0", "1", "2", "3", "1-3", "0,2", "23"])
_DAYS = st.sampled_from(["*", "*/3", "1", "28-31", "15"])


@examples(15)
@given(minute=_MINUTES, hour=_HOURS, day=_DAYS, change=st.sampled_from(sorted(CHANGES)), seconds=st.integers(0, 86400))
def test_any_expression_from_any_second(minute: str, hour: str, day: str, change: str, seconds: int) -> None:
    expression = f"{minute} {hour} {day} * *"
    name, start, days = CHANGES[change]
    zone, end = ZoneInfo(name), start + timedelta(days=days)
    expected = [f for f in fires(expression, zone, start, end) if f > start + timedelta(seconds=seconds)]
    moment = start + timedelta(seconds=seconds)
    for fire in expected:
        assert Cron(expression).after(moment, zone) == fire
        moment = fire
    assert Cron(expression).after(moment, zone) >= end


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 jan *"),
        (" 0  6 * * mon-Fri ", "0 6 * * 1,2,3,4,5"),
        ("0 0 * * 7", "0 0 * * 0"),
    ],
)
def test_aliases_and_names_stand_for_numbers(alias: str, expression: str) -> None:
    moment = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    for _ in range(10):
        assert Cron(alias).after(moment, BERLIN) == Cron(expression).after(moment, BERLIN)
        moment = Cron(expression).after(moment, BERLIN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has 0 fields of five"),
        ("* * * *", "has 4 fields of five"),
        ("* * * * * *", "has 6 fields of five"),
        ("61 * * * *", "its minute field is wrong"),
        ("* 24 * * *", "its hour field is wrong"),
        ("* * 0 * *", "its day-of-month field is wrong"),
        ("* * * 13 *", "its month field is wrong"),
        ("* * * * MOON", "its day-of-week field is wrong"),
        ("*/0 * * * *", "its minute field is wrong"),
        ("30-10 * * * *", "its minute field is wrong"),
        ("1,,2 * * * *", "its minute field is wrong"),
        ("0 0 30 2 *", "never fires: the months '2' have no day '30' in the day-of-month field"),
        ("0 0 31 feb,4-4 *", "never fires: the months 'feb,4-4' have no day '31'"),
        ("0 0 32 2 *", "its day-of-month field is wrong: '32'"),
        ("0 0 * * FRI-SUN", "its day-of-week field is wrong: 'FRI-SUN'; .* ranges upwards"),
        ("*/61 * * * *", "in its minute field the step 61 is longer than its range of 60"),
        ("0,5/56 * * * *", "in its minute field the step 56 is longer than its range of 55"),
        ("0 */25 * * *", "in its hour field the step 25 is longer than its range of 24"),
        ("0 0 */32 * *", "in its day-of-month field the step 32 is longer than its range of 31"),
        ("0 0 L/2 * *", "in its day-of-month field the step 2 is longer than its range of 1"),
        ("0 0 1 */13 *", "in its month field the step 13 is longer than its range of 12"),
        ("0 0 1 JAN-MAR/4 *", "in its month field the step 4 is longer than its range of 3"),
        ("0 0 * * */8", "in its day-of-week field the step 8 is longer than its range of 7"),
        ("@reboot", "is not a known alias"),
        ("*" * 201, "at most 200 characters"),
    ],
)
def test_wrong_expressions_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(text)


@pytest.mark.parametrize(
    "text", ["*/60 */24 */31 */12 */7", "5/55 * * * *", "0 0 1 JAN-MAR/3 *", "0 0 L * 5L", "@daily"]
)
def test_the_longest_steps_and_other_forms_are_taken(text: str) -> None:
    check(text)


def test_a_stored_expression_with_a_long_step_goes_on() -> None:
    """An earlier release took it; a service that does not start its schedules would be worse."""
    noon = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    assert Cron("*/61 * * * *").after(noon, BERLIN) == noon.replace(hour=13, minute=0)


def test_the_latest_of_ten_years_is_found_at_once() -> None:
    until = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    assert Cron("* * * * *").latest(until - timedelta(days=3650), until, BERLIN) == until.replace(second=0)
    assert Cron("0 0 29 2 *").latest(until - timedelta(days=3650), until, BERLIN) == datetime(
        2024, 2, 28, 23, tzinfo=UTC
    )
    assert Cron("0 0 29 2 *").latest(until - timedelta(days=30), until, BERLIN) is None
