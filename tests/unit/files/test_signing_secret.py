"""The signing secret of a data directory: made once, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.files import signing_secret
from service.kit import errors


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    secret = signing_secret.read_or_create(path)
    assert signing_secret.read_or_create(path) == secret
    assert len(secret) >= 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["secret.key"]


def test_a_first_start_that_dies_before_the_secret_is_whole_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.key"

    def die(_: Path) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(signing_secret, "flush", die)
        with pytest.raises(InterruptedError):
            signing_secret.read_or_create(path)
    assert not path.exists()
    assert signing_secret.read_or_create(path) == path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["secret.key"]


def test_a_short_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text("short")
    with pytest.raises(errors.Invalid, match=r"secret\.key is damaged"):
        signing_secret.read_or_create(path)


@pytest.mark.parametrize("damage", [Path.mkdir, lambda path: path.write_bytes(b"\xff" * 64)])
def test_one_that_cannot_be_read_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    damage(tmp_path / "secret.key")
    with pytest.raises(errors.Invalid, match=r"secret\.key cannot be read or written \(") as raised:
        signing_secret.read_or_create(tmp_path / "secret.key")
    assert raised.value.details["field"] == "PENSTOCK_JWT_SECRET"
