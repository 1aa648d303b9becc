"""Files below the roots, and no way out of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.files.allowed_files import Files
from service.kit import errors


@pytest.fixture
def places(tmp_path: Path) -> tuple[Files, Path, Path]:
    """Uploads with files, a second root, and a secret beside them with links that lead to it."""
    uploads, root, outside = tmp_path / "uploads", tmp_path / "root", tmp_path / "outside"
    for folder in (uploads / "a" / "b", uploads / ".hidden", root, outside):
        folder.mkdir(parents=True)
    for name in ("x.csv", "a/y.csv", "a/b/z.csv", "a/b/note.txt", ".hidden/h.csv", ".dot.csv", "[x].csv"):
        (uploads / name).write_text(name)
    (root / "x.csv").write_text("second")
    (root / "r.csv").write_text("r")
    (outside / "secret.csv").write_text("secret")
    (uploads / "link.csv").symlink_to(outside / "secret.csv")
    (uploads / "linked").symlink_to(outside)
    (uploads / "to-root.csv").symlink_to(root / "r.csv")
    (uploads / "inner.csv").symlink_to("a/y.csv")
    (uploads / "loop").symlink_to("loop")
    (uploads / "up").symlink_to(".")
    os.mkfifo(uploads / "pipe.csv")
    return Files((uploads, root)), uploads, outside


def names(files: Files, name: str) -> list[str]:
    return [str(p.relative_to(files.roots[0].parent)) for p in files.resolve(name, "collectors[0]")]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("x.csv", ["uploads/x.csv"]),
        ("r.csv", ["root/r.csv"]),
        ("./a/../x.csv", ["uploads/x.csv"]),
        ("inner.csv", ["uploads/a/y.csv"]),
        ("up/x.csv", ["uploads/x.csv"]),
        ("*.csv", ["uploads/x.csv", "uploads/a/y.csv"]),
        ("[xr].csv", ["uploads/x.csv"]),
        ("[x].csv", ["uploads/[x].csv"]),
        ("r*.csv", ["root/r.csv"]),
        ("**/*.csv", ["uploads/x.csv", "uploads/a/b/z.csv", "uploads/a/y.csv"]),
        ("a/**/z.csv", ["uploads/a/b/z.csv"]),
        ("a/*/z.???", ["uploads/a/b/z.csv"]),
        (".hidden/*", ["uploads/.hidden/h.csv"]),
    ],
)
def test_what_a_name_means(name: str, wanted: list[str], places: tuple[Files, Path, Path]) -> None:
    found = names(places[0], name)
    if name == "*.csv":
        assert "uploads/[x].csv" in found
        found.remove("uploads/[x].csv")
    if name == "**/*.csv":
        found.remove("uploads/[x].csv")
    assert sorted(found) == sorted(wanted)
    assert len(found) == len(set(found))


def test_absolute_names_below_a_root(places: tuple[Files, Path, Path]) -> None:
    files, uploads, _ = places
    assert names(files, str(uploads / "x.csv")) == ["uploads/x.csv"]
    assert names(files, str(uploads / "a" / "*.csv")) == ["uploads/a/y.csv"]
    assert names(files, str(files.roots[1] / "x.csv")) == ["root/x.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "gone.csv", "a", "", ".", "link.csv", "linked/secret.csv", "linked/*", "../outside/secret.csv", "../**/*.csv",
        "a/../../outside/secret.csv", "../outside/*.csv", "{outside}/secret.csv", "{outside}/*.csv", "/etc/passwd",
        "/**/passwd", "/proc/self/environ", "loop", "loop/x", "pipe.csv", "to-root.csv", "http://h/x.csv", "s3://b/k",
        "file:///etc/passwd", "~/x.csv", "x\0.csv", "x" * 5000, "https://h/*.csv", "x.csv/", "x.csv/y",
    ],
)  # fmt: skip
def test_requirement_33_what_leads_out_or_nowhere_is_refused(name: str, places: tuple[Files, Path, Path]) -> None:
    files, _, outside = places
    if name == "x.csv/":
        assert names(files, name) == ["uploads/x.csv"]
        return
    with pytest.raises(errors.Permanent) as caught:
        files.resolve(name.format(outside=outside), "collectors[0]", "file_path[2]")
    assert caught.value.details == {"step": "collectors[0]", "field": "file_path[2]"}
    assert "secret" not in caught.value.message.replace(name.format(outside=outside), "")


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("x.csv", False), ("*.csv", False), ("inner.csv", False), ("gone.csv", False), ("a/gone/*.csv", False),
        ("loop", False), ("x" * 5000, False), ("link.csv", True), ("linked/secret.csv", True), ("link.???", True),
        ("to-root.csv", True), ("{outside}/gone.csv", True), ("../outside/secret.csv", True), ("/etc/passwd", True),
    ],
)  # fmt: skip
def test_what_leads_out_is_told_from_what_does_not_exist(
    name: str, out: bool, places: tuple[Files, Path, Path]
) -> None:
    files, _, outside = places
    chosen = name.format(outside=outside)
    assert files.excludes(chosen) == out
    if not files.finds(chosen):
        with pytest.raises(errors.Permanent, match="is not below" if out else "no file"):
            files.resolve(chosen, "collectors[0]")


def test_a_root_around_the_data_directory_does_not_open_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in (data / "uploads", data / "warehouse"):
        folder.mkdir(parents=True)
    for path in (data / "secret.key", data / "warehouse" / "w.csv", data / "uploads" / "u.csv", tmp_path / "x.csv"):
        path.write_text("x")
    (tmp_path / "link.csv").symlink_to(data / "secret.key")
    files = Files((data / "uploads", tmp_path), (data,))
    assert [p.name for p in files.resolve("**/*.csv", "s")] == ["u.csv"]
    assert [p.name for p in Files((tmp_path,), (data,)).resolve("**/*", "s")] == ["x.csv"]
    for name in ("data/secret.key", str(data / "secret.key"), "data/warehouse/*.csv", "link.csv", "data/gone.csv"):
        assert files.excludes(name)
        with pytest.raises(errors.Permanent, match="is not below"):
            files.resolve(name, "s")
    assert files.finds("u.csv")
    assert files.finds(str(data / "uploads" / "u.csv"))
    assert Files((data / "warehouse",), (data,)).finds("w.csv")


def test_a_root_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.csv").write_text("x")
    (tmp_path / "alias").symlink_to("real")
    files = Files((tmp_path / "alias",))
    for name in ("x.csv", "*.csv", str(tmp_path / "alias" / "x.csv"), str(tmp_path / "real" / "x.csv")):
        assert files.resolve(name, "s") == [tmp_path / "real" / "x.csv"]


def test_a_file_url_is_a_path_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("x")
    files, url = Files((tmp_path,)), f"file://{tmp_path}/a%20b.csv"
    assert [path.name for path in files.resolve(url, "collectors[0]")] == ["a b.csv"]
    assert (files.finds(url), files.excludes(url), files.excludes("file:///etc/passwd")) == (True, False, True)
    with pytest.raises(errors.Permanent, match="not below the uploads"):
        files.resolve("file:///etc/passwd", "collectors[0]")
    with pytest.raises(errors.Permanent, match="is not a file name"):
        files.resolve("file://host/a.csv", "collectors[0]")


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        ("s3://one/a.csv", False), ("s3://one-more/a.csv", True), ("s3://two/in/a.csv", False),
        ("s3://two/in/*", False), ("s3://two/inner/a.csv", True), ("gs://one/a.csv", True),
    ],
)  # fmt: skip
def test_objects_are_excluded_unless_their_bucket_or_folder_is_allowed(name: str, excluded: bool) -> None:
    files = Files((), buckets=("s3://one", "s3://two/in/"))
    assert (files.excludes(name), files.finds(name), files.refusal(name) is None) == (
        excluded,
        not excluded,
        not excluded,
    )


@pytest.mark.parametrize(
    ("root", "excluded"),
    [("s3://one", True), ("s3://one/pen", True), ("s3://one/pen/stock", False), ("s3://one/pen/stock/landing", False)],
)
def test_a_bucket_with_the_warehouse_does_not_open_it(root: str, excluded: bool) -> None:
    files = Files((), buckets=(root,), warehouse="s3://one/pen/stock")
    assert files.excludes("s3://one/pen/stock/landing/part.parquet") is excluded
    assert files.excludes("s3://one/pen/orders.csv") is (root.endswith(("stock", "landing")))


def test_a_job_without_copies_reads_no_objects() -> None:
    with pytest.raises(errors.Permanent, match="runs, previews and plans"):
        Files(()).resolve("s3://one/a.csv", "collectors[0]")
