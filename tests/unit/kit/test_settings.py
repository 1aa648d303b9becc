"""Settings come from the environment, flags win, and whatever is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.kit import errors, settings


def test_defaults_and_overrides() -> None:
    loaded = settings.load({"PENSTOCK_PORT": "9000", "PENSTOCK_HOST": "0.0.0.0", "HOME": "/x"}, port=1, host=None)
    assert (loaded.port, loaded.host, loaded.query_timeout_seconds) == (1, "0.0.0.0", 30)


def test_lists_and_sizes() -> None:
    loaded = settings.load(
        {"PENSTOCK_FILE_ROOTS": "/a, /b", "PENSTOCK_QUERY_MEMORY_LIMIT": "2GiB", "PENSTOCK_MAX_BODY_BYTES": "4096"}
    )
    assert loaded.file_roots == ("/a", "/b")
    assert loaded.query_memory_limit == 2 << 30
    assert loaded.max_body_bytes == 4096


def test_a_label_that_is_named_twice_is_one() -> None:
    assert settings.load({"PENSTOCK_WORKER_LABELS": "gpu,eu,gpu"}).worker_labels == ("gpu", "eu")
    assert settings.load({}, worker_labels=("gpu", "gpu")).worker_labels == ("gpu",)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(errors.Invalid) as caught:
        settings.load({"PENSTOCK_PORT": "x", "PENSTOCK_JWT_SECRET": "short"})
    fields = [e["field"] for e in caught.value.details["errors"]]
    assert fields == ["PENSTOCK_PORT", "PENSTOCK_JWT_SECRET"]


def test_a_catalog_that_is_not_in_postgresql_is_refused_without_its_password() -> None:
    with pytest.raises(errors.Invalid) as caught:
        settings.load({"PENSTOCK_CATALOG_URL": "mysql://me:hunter2@h/d"})
    assert caught.value.details["field"] == "PENSTOCK_CATALOG_URL"
    assert "hunter2" not in repr(caught.value.as_body())
    url = "postgres://me@h/d"
    assert settings.load({"PENSTOCK_CATALOG_URL": url}).catalog_url == url


def test_a_misspelt_variable_is_pointed_at() -> None:
    environment = {"PENSTOCK_PROT": "1", "PENSTOCK_SECRET_X": "y", "PENSTOCK_HOST": "h"}
    assert settings.load(environment).port == 8000
    (problem,) = settings.unknown(environment)
    assert problem.field == "PENSTOCK_PROT"
    assert "did you mean 'PENSTOCK_PORT'" in problem.message


def test_secrets_are_apart() -> None:
    environment = {"PENSTOCK_SECRET_API": "s3cret", "PENSTOCK_PORT": "1"}
    assert settings.secrets(environment) == {"API": "s3cret"}
    assert settings.load(environment).port == 1


def test_no_runs_at_all() -> None:
    """A service that only serves: spares and slots are none, and the limit of a run is that of a single one."""
    none, one = (settings.load({"PENSTOCK_MAX_CONCURRENT_RUNS": text}) for text in ("0", "1"))
    assert (none.max_concurrent_runs, none.spare_workers, none.budget.runs) == (0, 0, 0)
    assert none.run_memory_limit == one.run_memory_limit
    with pytest.raises(errors.Invalid, match="PENSTOCK_MAX_CONCURRENT_RUNS"):
        settings.load({"PENSTOCK_MAX_CONCURRENT_RUNS": "-1"})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PENSTOCK_PORT", "abc", "'abc' is not a whole number"),
        ("PENSTOCK_PORT", "99999", "must be at most 65535"),
        ("PENSTOCK_QUERY_MEMORY_LIMIT", "64MiB", "must be at least 384MiB"),
        ("PENSTOCK_RUN_MEMORY_LIMIT", "1024", "must be at least 512MiB"),
        ("PENSTOCK_QUERY_TIMEOUT_SECONDS", "soon", "'soon' is not a number"),
        ("PENSTOCK_QUERY_TIMEOUT_SECONDS", "0", "must be more than 0"),
        ("PENSTOCK_DRAIN_SECONDS", "-1", "must be at least 0"),
        ("PENSTOCK_DRAIN_SECONDS", "soon", "'soon' is not a number"),
        ("PENSTOCK_HEALTH_PORT", "none", "'none' is not a whole number"),
        ("PENSTOCK_CATALOG_URL", "", "is empty; set a URL, or unset it"),
        ("PENSTOCK_WAREHOUSE_URL", "", "is empty; set a URL, or unset it"),
        ("PENSTOCK_ALLOW_UNSANDBOXED_SQL", "maybe", "'maybe' is not true or false"),
    ],
)
def test_a_wrong_value_is_explained_in_words(variable: str, value: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        settings.load({variable: value})
    assert raised.value.details["errors"] == [{"field": variable, "message": message}]


def test_file_roots_are_directories_and_buckets() -> None:
    roots = "/a,file:///b%20c,s3://bucket/folder,gs://other"
    loaded = settings.load({"PENSTOCK_FILE_ROOTS": roots})
    assert loaded.root_folders == (Path("/a"), Path("/b c"))
    assert loaded.root_buckets == ("s3://bucket/folder", "gs://other")


@pytest.mark.parametrize("root", ["s3://key:secret@bucket", "http://host/x", "s3://", "s3://bucket?x=secret"])
def test_a_file_root_that_is_no_bucket_is_refused_without_its_credentials(root: str) -> None:
    with pytest.raises(errors.Invalid, match="PENSTOCK_FILE_ROOTS: an entry") as raised:
        settings.load({"PENSTOCK_FILE_ROOTS": root})
    assert "secret" not in str(raised.value)


def test_a_file_root_does_not_open_the_data_directory_and_a_warehouse_in_a_folder() -> None:
    loaded = settings.load({"PENSTOCK_DATA_DIR": "/data", "PENSTOCK_WAREHOUSE_URL": "file:///srv/store"})
    assert loaded.closed_folders == (Path("/data"), Path("/srv/store"))
    assert settings.load({"PENSTOCK_WAREHOUSE_URL": "s3://bucket"}, data_dir="/data").closed_folders == (Path("/data"),)


@pytest.mark.parametrize("name", ["spark_url", "otlp_endpoint", "openlineage_url", "drain_seconds", "health_port"])
def test_a_variable_that_compose_leaves_empty_is_as_none(name: str) -> None:
    assert getattr(settings.load({f"PENSTOCK_{name.upper()}": ""}), name) is None
