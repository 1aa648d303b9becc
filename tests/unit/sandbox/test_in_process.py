"""DuckDB inside a job: it reads and writes the files that it was given, and its settings stay as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from service.sandbox import confinement, in_process


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / f"{name}.parquet" for name in ("given", "other", "target")}
    pl.DataFrame({"v": [1]}).write_parquet(made["given"])
    pl.DataFrame({"v": [2]}).write_parquet(made["other"])
    return made


def test_only_the_given_files_are_read_and_written(files: dict[str, Path], tmp_path: Path) -> None:
    limit = 256 << 20
    given = [files["given"], files["target"]]
    with in_process.connect(threads=2, memory_bytes=limit, spill=tmp_path / "spill", files=given) as connection:
        confinement.verify(connection)
        connection.execute(f"COPY (FROM read_parquet('{files['given']}')) TO '{files['target']}' (FORMAT parquet)")
        assert pl.read_parquet(files["target"])["v"].to_list() == [1]
        for attack in (
            f"FROM read_parquet('{files['other']}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'new.parquet'}' (FORMAT parquet)",
            f"ATTACH '{tmp_path / 'new.duckdb'}'",
            "FROM read_csv('/etc/passwd')",
            "SELECT getenv('HOME')",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(attack).fetchall()
        for setting in (
            "enable_external_access = true",
            "memory_limit = '9GB'",
            "threads = 9",
            "TimeZone = 'Asia/Tokyo'",
        ):
            with pytest.raises(duckdb.Error, match="lock"):
                connection.execute(f"SET {setting}")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == sorted(p.name for p in files.values())


def test_threads_that_only_wait_for_files_are_few(files: dict[str, Path]) -> None:
    """The usual eight take 64 MiB of stacks, which the limit of a run counts."""
    for given, wanted in (((), 0), ((files["given"],), 1)):
        with in_process.connect(threads=1, memory_bytes=128 << 20, files=given) as connection:
            assert connection.execute("SELECT current_setting('async_threads')").fetchone() == (wanted,)


def test_python_variables_are_not_tables() -> None:
    secret = pl.DataFrame({"v": [1]}).to_arrow()
    with (
        in_process.connect(threads=1, memory_bytes=128 << 20) as connection,
        pytest.raises(duckdb.CatalogException),
    ):
        connection.execute("FROM secret").fetchall()
    assert secret.num_rows == 1


def test_times_are_those_of_the_zone() -> None:
    with in_process.connect(threads=1, memory_bytes=128 << 20, zone="Europe/Berlin") as connection:
        assert connection.execute("SELECT hour(TIMESTAMPTZ '2024-07-01 23:30:00+00')").fetchall() == [(1,)]
