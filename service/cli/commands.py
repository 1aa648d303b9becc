"""The commands. Each parses its arguments and calls one function of its module.

The modules behind the commands are imported when a command runs, so that ``--help`` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import service
from service.cli import errors, options
from service.cli.catalog import catalog_group
from service.cli.key_commands import key_group
from service.cli.user_commands import user_group
from service.cli.version_commands import version_group
from service.kit import startup
from service.model.formats import FORMATS


def _prefork() -> None:
    from service.cli import prefork

    prefork.begin()


class Commands(click.Group):
    """Commands whose errors are printed as text and become exit codes, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        startup.begin("structlog")
        with errors.report(as_json=lambda: bool(ctx.meta.get("json"))):
            return super().invoke(ctx)

    def main(self, *args: Any, **named: Any) -> Any:
        """As click's, but Ctrl-C is for ``service.__main__``, which ends quietly."""
        try:
            code = super().main(*args, **{**named, "standalone_mode": False})
            raise SystemExit(code if isinstance(code, int) else 0)
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            raise KeyboardInterrupt from None


@click.group(
    cls=Commands,
    epilog=options.EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(service.__version__, prog_name="penstock")
def penstock() -> None:
    """Collect, process, store and serve data: pipelines as configuration."""


@penstock.command()
@options.data_dir(None, "Where its data stay.  [default: a temporary directory; with --serve ./penstock-demo]")
@click.option("--serve", is_flag=True, help="Then open the console on the demo's data, signed in, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --serve: a loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve.  [default: 8000, or a free one]")
@click.option("--no-browser", is_flag=True, help="With --serve: print the link and open no browser.")
def demo(data_dir: str | None, serve: bool, host: str, port: int | None, no_browser: bool) -> None:
    """Run a real pipeline over a small messy data set: no server, network or account needed."""
    if not serve and (port is not None or no_browser or host != "127.0.0.1"):
        raise click.UsageError("--host, --port and --no-browser are for --serve")
    _prefork()
    from service.cli import demo as shown
    from service.cli import demo_console

    if serve:
        demo_console.serve(data_dir or "penstock-demo", host=host, port=port, browser=not no_browser)
    else:
        shown.show(data_dir)


def _of_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what executes runs until a signal."""
    for decorate in (
        click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]"),
        click.option(
            "--log-format", type=click.Choice(["json", "console"]), help="The format of log lines.  [default: json]"
        ),
        options.several(
            "--allow-private-host", "allowed_private_hosts", "A private host that collectors may call; repeatable."
        ),
        options.several("--file-root", "file_roots", "A directory that collectors may read, too; repeatable."),
    ):
        command = decorate(command)
    return command


@penstock.command(epilog=options.VARIABLES)
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.  [default: 8000]")
@options.data_dir()
@click.option("--max-concurrent-runs", type=click.IntRange(0), help="Runs that may be in progress; 0: none starts.")
@_of_runs
def serve(**chosen: Any) -> None:
    """Serve the REST API until SIGTERM or Ctrl-C."""
    _prefork()
    from service.cli import serve as serve_command

    serve_command.serve(**chosen)


@penstock.command(epilog=options.VARIABLES)
@click.option(
    "--concurrency", "max_concurrent_runs", type=click.IntRange(1),
    help="Runs that it executes at the same time.  [default: one a core]",
)  # fmt: skip
@options.several(
    "--label", "worker_labels", "What this host has (gpu): runs with that execution.label come here; repeatable."
)
@click.option("--only-labelled", is_flag=True, default=None, help="Execute no run without a label.")
@options.data_dir(text="A directory of its own, for cached files and logs (or PENSTOCK_DATA_DIR).")
@click.option(
    "--health-port", type=click.IntRange(0, 65535),
    help="Answer /health, /health/ready and /metrics on this port; 0 takes a free one.  [default: none]",
)  # fmt: skip
@click.option("--host", help="The address of the health port.  [default: 127.0.0.1]")
@_of_runs
def worker(**chosen: Any) -> None:
    """Execute runs of an installation with several processes until SIGTERM or Ctrl-C, without the REST API.

    It needs PENSTOCK_CATALOG_URL and PENSTOCK_WAREHOUSE_URL, as the processes of 'penstock serve' have them.
    """
    _prefork()
    from service.cli import worker as worker_command

    worker_command.worker(**chosen)


@penstock.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=31337, show_default=True, help="0 takes a free one.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The service whose tables are served.")
@click.option("--tls-certificate", "certificate", type=click.Path(path_type=Path), help="A certificate (chain) in PEM.")
@click.option("--tls-key", "key", type=click.Path(path_type=Path), help="Its key in PEM.")
@click.option(
    "--timeout-seconds", type=click.FloatRange(1), default=600.0, show_default=True,
    help="The longest wait for the next part of an answer of the service.",
)  # fmt: skip
@click.option(
    "--stall-seconds", type=click.FloatRange(1), default=60.0, show_default=True,
    help="How long a client may read nothing of an answer before it is cut off.",
)  # fmt: skip
def flight(**chosen: Any) -> None:
    """Serve Flight SQL, for BI tools and ADBC or JDBC drivers, until SIGTERM or Ctrl-C (needs the extra 'flight')."""
    from service.cli import flight as flight_command

    flight_command.flight(**chosen)


@penstock.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.data_dir()
@options.several(
    "--file-root", "file_roots", "A directory that collectors may read, besides FILE's and the current one."
)
@options.several("--allow-private-host", "allowed_private_hosts", "A private host collectors may call; repeatable.")
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Fetch everything again: incremental collectors ignore cursors and earlier records.",
)
@options.url
@options.as_json
def run(file: Path, url: str | None, data_dir: str | None, **chosen: Any) -> None:
    """Run the pipeline in FILE (YAML or JSON), and store its result."""
    from service.cli import prefork

    prefork.begin_without_service(url, data_dir)
    from service.cli import run as run_command

    run_command.run_file(file, url=url, data_dir=data_dir, **chosen)


@penstock.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.as_json
def validate(file: Path, as_json: bool) -> None:
    """Check the pipeline in FILE: every problem with its path. No source is read."""
    from service.cli import validate as validate_command

    validate_command.validate_file(file, as_json=as_json)


@penstock.command()
@click.argument("sql")
@options.data_dir()
@click.option(
    "--format", "form", type=click.Choice(["table", *FORMATS]), default="table",
    show_default=True, help="The format of the answer on standard output.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(0), help="Rows at most.  [default: 1000 for table and json, else all]")
@click.option(
    "--escape-formulas/--no-escape-formulas", default=True, show_default=True,
    help="CSV: put ' before texts that a spreadsheet would run as formulas.",
)  # fmt: skip
@options.url
@options.as_json
def query(sql: str, form: str, as_json: bool, url: str | None, data_dir: str | None, **chosen: Any) -> None:
    """Answer one SQL SELECT over the stored tables."""
    from service.cli import prefork

    prefork.begin_without_service(url, data_dir)
    from service.cli import query as query_command

    form = "json" if as_json and form == "table" else form
    query_command.query(sql, form=form, url=url, data_dir=data_dir, **chosen)


@penstock.command("list")
@options.data_dir()
@options.url
@options.as_json
def list_pipelines(**chosen: Any) -> None:
    """List the pipelines with the status of the newest run and the newest version."""
    from service.cli import history

    history.list_pipelines(**chosen)


@penstock.command("log")
@click.argument("run")
@options.data_dir()
@options.url
@options.as_json
def print_log(run: str, **chosen: Any) -> None:
    """Print the log of RUN: the id of a run, or the name of a pipeline for its newest run."""
    from service.cli import history

    history.print_log(run, **chosen)


@penstock.command()
@click.argument("pipeline")
@click.argument("version", required=False)
@click.option("--against", help="The version to compare with, by number or tag.  [default: the one before]")
@click.option("--key", help="The columns that identify a row, as a,b.  [default: the primary key]")
@click.option("--limit", type=click.IntRange(0, 1000), default=20, show_default=True, help="Rows of each kind to show.")
@options.data_dir()
@options.url
@options.as_json
def diff(pipeline: str, version: str | None, url: str | None, data_dir: str | None, **chosen: Any) -> None:
    """Show what differs between VERSION (a number or a tag; the newest by default) of PIPELINE and the one before."""
    from service.cli import prefork

    prefork.begin_without_service(url, data_dir)
    from service.cli import diff as shown

    shown.show(pipeline, version, url=url, data_dir=data_dir, **chosen)


@penstock.command()
@click.argument("source", metavar="FILE|URL")
@options.several("--allow-private-host", "allowed_private_hosts", "A private host that may be called; repeatable.")
@options.as_json
def probe(source: str, **chosen: Any) -> None:
    """Look at a file or a URL and print a pipeline that reads it, as YAML."""
    _prefork()
    from service.cli import probe as probe_command

    probe_command.probe(source, **chosen)


@penstock.command()
@options.data_dir()
@click.option("--deep", is_flag=True, help="Compare every checksum, not only sizes.")
@click.option("--adopt", is_flag=True, help="Take versions that the catalog does not know back from their manifests.")
@options.url
@options.as_json
def verify(data_dir: str | None, url: str | None, **chosen: Any) -> None:
    """Compare the catalog with the stored files. Exit code 1 if data is damaged."""
    from service.cli import prefork

    prefork.begin_without_service(url, data_dir)
    from service.cli import verify as verify_command

    verify_command.verify(data_dir=data_dir, url=url, **chosen)


@penstock.command()
@click.argument("directory", type=click.Path(file_okay=False))
@options.data_dir()
@options.url
@options.as_json
def backup(directory: str, **chosen: Any) -> None:
    """Copy the data to a new folder in DIRECTORY; unchanged files are shared with the backup before."""
    from service.cli import backup as backups

    backups.backup(directory, **chosen)


@penstock.command()
@click.argument("directory", type=click.Path(file_okay=False))
@options.data_dir(text="The new data directory, absent or empty (or PENSTOCK_DATA_DIR).")
@options.as_json
def restore(directory: str, **chosen: Any) -> None:
    """Make a new data directory from the newest backup in DIRECTORY, and verify it."""
    from service.cli import backup as backups

    backups.restore(directory, **chosen)


@penstock.command()
@options.data_dir()
@options.url
@options.as_json
def queries(**chosen: Any) -> None:
    """List the saved queries, which GET /api/v1/q/NAME answers."""
    from service.cli import queries as saved

    saved.show(**chosen)


@penstock.command()
@options.data_dir()
@options.url
@options.as_json
def processes(**chosen: Any) -> None:
    """List the processes that serve the installation: those with the API, and workers."""
    from service.cli import processes as living

    living.show(**chosen)


@penstock.group()
def schedule() -> None:
    """Schedules of pipelines."""


@schedule.command("list")
@options.data_dir()
@options.url
@options.as_json
def list_schedules(**chosen: Any) -> None:
    """List the pipelines that have a schedule, with the last and the next time that fires."""
    from service.cli import schedule as schedules

    schedules.show(**chosen)


@schedule.command("pause")
@click.argument("pipeline")
@options.data_dir()
@options.url
@options.as_json
def pause_schedule(pipeline: str, **chosen: Any) -> None:
    """Stop the schedule of PIPELINE until it is resumed."""
    from service.cli import schedule as schedules

    schedules.pause(pipeline, **chosen)


@schedule.command("resume")
@click.argument("pipeline")
@options.data_dir()
@options.url
@options.as_json
def resume_schedule(pipeline: str, **chosen: Any) -> None:
    """Let a paused schedule of PIPELINE fire again, from now on."""
    from service.cli import schedule as schedules

    schedules.resume(pipeline, **chosen)


penstock.add_command(catalog_group)
penstock.add_command(version_group)
penstock.add_command(key_group)
penstock.add_command(user_group)
