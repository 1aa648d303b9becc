"""Numbers of JSON that become text keep the digits of the source, on every path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.collectors.http_api import page_batches
from service.collectors.records import json_records, number_texts
from service.collectors.records.unusable import Unusable
from tests.examples import examples
from tests.unit.collectors.api_source import fetched
from tests.unit.collectors.file_source import rows, surroundings
from tests.unit.network.site import Hit, Reply

ODD = (
    "12345678901234567.89", "1e2", "1E+05", "-0", "-0.0", "1.50", "0.1000", "123456789012345678901234567890",
    "18446744073709551615", "9007199254740993", "1e400", "1e-400", "7",
)  # fmt: skip
NUMBERS = st.sampled_from(ODD)


def written(value: str) -> str:
    """The text that a JSON value must become."""
    return str(json.loads(value)) if value.startswith('"') else value


@examples(60)
@given(st.lists(NUMBERS | st.sampled_from(['"x"', '"1e2"']), min_size=1, max_size=5))
@example(["1e2", '"x"'])
def test_both_paths_keep_the_digits(values: list[str]) -> None:
    packed = "\n".join(f'{{"v":{v},"o":{{"p":[{v},"x"]}}}}' for v in [*values, '"x"']).encode()
    names = dict.fromkeys(["o_p", "v"], pl.String())
    for frame, _ in (
        json_records.table(packed, flatten=True),
        json_records._by_record(packed, True, {}, {}),
        json_records.table(packed, flatten=True, texts=names),
    ):
        assert frame["v"].to_list() == [*map(written, values), "x"]
    assert json_records.table(packed, flatten=True)[0]["o_p"].to_list() == [[written(v), "x"] for v in [*values, '"x"']]
    wanted = [f'[{v},"x"]' for v in [*values, '"x"']]
    assert json_records.table(packed, flatten=True, texts=names)[0]["o_p"].to_list() == wanted


@examples(60)
@given(st.lists(NUMBERS, min_size=1, max_size=5), st.sampled_from(["v", "o"]))
def test_a_text_column_of_the_schema_has_numbers_as_they_are_written(values: list[str], name: str) -> None:
    packed = "\n".join(f'{{"v":{v},"o":{{"p":{v},"q":null}}}}' for v in values).encode()
    shown = values if name == "v" else [f'{{"p":{v},"q":null}}' for v in values]
    other = {"o"} - {name} or {"v"}
    texts = dict.fromkeys([name, *other], pl.String())
    assert json_records.table(packed, flatten=True, texts=texts)[0][name].to_list() == shown


LINES = "\n".join(f'{{"v":{v}}}' for v in ODD if v != "1e400")


@pytest.mark.parametrize("form", ["lines", "document", "nested"])
def test_text_in_a_later_file_makes_text_of_the_numbers_before(tmp_path: Path, form: str) -> None:
    def body(lines: str) -> bytes:
        if form == "lines":
            return lines.encode()
        return ("[" + lines.replace("\n", ",") + "]").encode()

    numbers, text = LINES, '{"v":"x"}\n{"v":null}'
    if form == "nested":
        numbers, text = (t.replace('"v":', '"v":[').replace("}", "]}") for t in (numbers, text))
    ctx = surroundings(tmp_path, {"a.json": body(numbers), "b.json": body(text)})
    found = rows(ctx, "json", file_path="*.json")["v"].to_list()
    expected: list[Any] = [v for v in ODD if v != "1e400"] + ["x", None]
    assert found == ([[v] for v in expected] if form == "nested" else expected)
    assert [w.code for w in ctx.report().warnings] == ["mixed_types"]


def test_pages_of_an_api(tmp_path: Path) -> None:
    body = ("[" + ",".join(f'{{"v":{v}}}' for v in [*ODD, '"x"']) + "]").encode()
    frame, _, _ = fetched(lambda _: Reply(body, headers={"Content-Type": "application/json"}), tmp_path)
    assert frame["v"].to_list() == [*ODD, "x"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("keyed", [False, True])
def test_text_on_a_later_page_makes_text_of_the_numbers_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, nested: bool, keyed: bool
) -> None:
    """Each page is a part of its own; the text comes on the third."""
    monkeypatch.setattr(page_batches, "BATCH_BYTES", 1)
    values = [v for v in ODD if v != "1e400"]
    pages = [values[:5], values[5:], ['"x"', "null"], ["1.10"]]

    def answers(hit: Hit) -> Reply:
        page = int(hit.query["page"]) - 1
        first = sum(map(len, pages[:page]))
        found = pages[page] if page < len(pages) else []
        records = [
            f'{{"id":{n},"at":"2026-01-{n + 1:02d}","v":{f"[{v}]" if nested else v}}}'
            for n, v in enumerate(found, first)
        ]
        return Reply(f"[{','.join(records)}]".encode(), headers={"Content-Type": "application/json"})

    more = {"incremental": {"cursor_field": "at", "param": "since"}, "primary_key": ["id"]} if keyed else {}
    frame, _, ctx = fetched(answers, tmp_path, pagination={"type": "page"}, **more)
    expected: list[Any] = [*values, "x", None, "1.10"]
    assert frame.sort("id")["v"].to_list() == ([[v] for v in expected] if nested else expected)
    (warning,) = [w for w in ctx.report().warnings if w.code == "mixed_types"]
    assert "the values of 'v'" in warning.message
    assert not list(tmp_path.rglob("*.source"))


def test_a_number_beyond_floats_needs_a_text_column(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="1e400 is out of range; give 'v' the type string under schema"):
        json_records.table(b'{"v":1e400}\n{"v":1}', flatten=True)
    ctx = surroundings(tmp_path, {"a.json": b'{"v":1e400}\n{"v":1}'})
    assert rows(ctx, "json", file_path="a.json", schema={"v": "string"})["v"].to_list() == ["1e400", "1"]


def test_a_decimal_column_keeps_its_digits(tmp_path: Path) -> None:
    ctx = surroundings(tmp_path, {"a.json": b'{"v":12345678901234567.89}\n{"v":1e2}'})
    found = rows(ctx, "json", file_path="a.json", schema={"v": "decimal(38,2)"})["v"]
    assert found.cast(pl.String).to_list() == ["12345678901234567.89", "100.00"]


def test_an_object_as_text(tmp_path: Path) -> None:
    ctx = surroundings(tmp_path, {"a.json": b'{"o":{"p":1.50}}\n{"o":null}'})
    assert rows(ctx, "json", file_path="a.json", schema={"o": "string"}).to_dicts() == [
        {"o": '{"p":1.50}'},
        {"o": None},
    ]
    assert ctx.report().warnings == ()
    typed = rows(ctx, "json", file_path="a.json", schema={"o": "int64"})
    assert typed.columns == ["o_p", "o"]
    assert "if it is an object, its fields are the columns o_p" in ctx.report().warnings[-1].message


def test_other_records_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(record: bytes) -> Any:
        raise AssertionError(record)

    monkeypatch.setattr(number_texts, "decode", refused)
    frame, _ = json_records.table(b'{"v":1.5,"t":"x"}\n{"v":2,"t":"y"}', flatten=True, texts={"t": pl.String()})
    assert frame.to_dicts() == [{"v": 1.5, "t": "x"}, {"v": 2.0, "t": "y"}]
