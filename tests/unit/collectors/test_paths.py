"""Names of files and objects in ``file_path``, before anything is looked up."""

from __future__ import annotations

import pytest

from service.collectors.source_file import paths


@pytest.mark.parametrize("name", ["a/*.csv", "s3://bucket/in/**/a?.csv", "gs://b/k", "az://c/k", "file:///srv/a.csv"])
def test_names_of_files_and_objects(name: str) -> None:
    assert not list(paths.problems(name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("http://host/a.csv", "name a file"), ("file://host/a.csv", "name a file"), ("~/a.csv", "name a file"),
        ("file:///srv/%2e%2e/a.csv", "leads out"), ("s3://bucket", "names no object"),
        ("s3://bucket/in//a.csv", "names no object"), ("s3://bucket/../a.csv", "names no object"),
        ("s3://*/a.csv", "names no bucket"), ("s3://key:secret@bucket/a.csv", "names no bucket"),
        ("s3://bucket/${KEY}.csv", "credentials come from the environment"),
    ],
)  # fmt: skip
def test_names_that_can_be_neither(name: str, text: str) -> None:
    (problem,) = paths.problems([name])
    assert (problem.field, text in problem.message, "secret@" in problem.message) == ("file_path[0]", True, False)
