"""``penstock version …``: the arguments of the commands about versions; ``cli.versions`` does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from service.cli import options

Command = Callable[..., Any]
_version = click.argument("version")


def _common(command: Command) -> Command:
    for decorate in (options.as_json, options.url, options.data_dir()):
        command = decorate(command)
    return click.argument("pipeline")(command)


def _prefork(chosen: dict[str, Any]) -> None:
    """Without a running service the command forks children: that begins before threads do."""
    from service.cli import prefork

    prefork.begin_without_service(chosen["url"], chosen["data_dir"])


@click.group("version")
def version_group() -> None:
    """Versions of pipelines; VERSION is a number or a tag."""


@version_group.command("list")
@_common
def list_versions(pipeline: str, **chosen: Any) -> None:
    """List the versions of PIPELINE, newest first, with pins and tags."""
    from service.cli import versions

    versions.show(pipeline, **chosen)


@version_group.command("pin")
@_common
@_version
def pin_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Keep VERSION of PIPELINE until it is unpinned."""
    from service.cli import versions

    versions.pin(pipeline, version, **chosen)


@version_group.command("unpin")
@_common
@_version
def unpin_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Remove the pin of VERSION of PIPELINE."""
    from service.cli import versions

    versions.unpin(pipeline, version, **chosen)


@version_group.command("tag")
@_common
@_version
@click.argument("tag")
def tag_version(pipeline: str, version: str, tag: str, **chosen: Any) -> None:
    """Let TAG name VERSION of PIPELINE, and no other."""
    from service.cli import versions

    versions.tag(pipeline, version, tag, **chosen)


@version_group.command("untag")
@_common
@click.argument("tag")
def untag_version(pipeline: str, tag: str, **chosen: Any) -> None:
    """Remove TAG of PIPELINE; the version that it named stays."""
    from service.cli import versions

    versions.untag(pipeline, tag, **chosen)


@version_group.command("restore")
@_common
@_version
@click.option("--state", is_flag=True, help="Also take the incremental state that collectors had then.")
def restore_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Make the rows of VERSION of PIPELINE the newest version, by links to its files."""
    _prefork(chosen)
    from service.cli import versions

    versions.restore(pipeline, version, **chosen)


@version_group.command("accept")
@_common
@_version
def accept_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Publish VERSION of PIPELINE, which `publish_if` held back."""
    _prefork(chosen)
    from service.cli import versions

    versions.accept(pipeline, version, **chosen)


@version_group.command("reject")
@_common
@_version
def reject_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Delete VERSION of PIPELINE, which `publish_if` held back, and its files for good."""
    _prefork(chosen)
    from service.cli import versions

    versions.reject(pipeline, version, **chosen)


@version_group.command("delete")
@_common
@_version
def delete_version(pipeline: str, version: str, **chosen: Any) -> None:
    """Delete VERSION of PIPELINE and its files for good."""
    _prefork(chosen)
    from service.cli import versions

    versions.delete(pipeline, version, **chosen)
