"""``penstock demo --serve``: the console on the demo's data, opened by a link that needs no password.

So it listens on loopback only, and keeps its data in a directory of its own. The shop that the pipeline reads stays
open meanwhile, so that the pipeline runs again. A second start finds the data of the first.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from service.api import server
from service.api.sign_in_link import SECONDS, SignInLink
from service.cli import demo, demo_site, run, service_start, session
from service.cli import serve as serve_command
from service.cli.output import OUT, escape
from service.kit import errors
from service.kit.clock import SystemClock
from service.kit.settings import Settings
from service.model import pipeline as pipelines
from service.runs.core import Core

_SHOP_PORT = 8017
"""Where the shop is if it can be, so that the pipeline of an earlier start still finds it."""


def serve(data_dir: str, *, host: str, port: int | None, browser: bool) -> None:
    """Make the demo's data unless they are there, and serve them until a signal. Raises ``errors.Invalid``."""
    _refuse_strangers(host)
    with demo_site.serve(_SHOP_PORT) as address:
        shared = {"data_dir": data_dir, "allowed_private_hosts": (urlsplit(address).netloc,)}
        chosen = session.settings(**shared)
        _refuse_shared(chosen)
        session.with_core(chosen, lambda core: _prepare(core, address))
        settings, environment = service_start.begin(
            **shared, host=host, port=_free(host, port, chosen.port), log_level="error", log_format="console"
        )
        link = SignInLink(settings.admin_username, SystemClock())

        def announce(url: str) -> None:
            found = link.issue(url)
            OUT.print(
                f"\n[bold]The console[/bold] is open to whoever follows this link; it is good once, within "
                f"{SECONDS // 60} minutes:\n\n  {escape(found)}\n\n"
                f"The data are in {escape(str(Path(data_dir)))}. Ctrl-C ends the service.",
                soft_wrap=True,
            )  # fmt: skip
            if browser and _has_browser():
                threading.Thread(target=webbrowser.open, args=(found,), daemon=True).start()

        asyncio.run(serve_command.until_stopped(settings, environment, announce, link))


async def _prepare(core: Core, address: str) -> None:
    """The first version of the pipeline; one that is there stays, but for the address of the shop."""
    if core.history.table(demo_site.NAME) is None:
        await demo.run(core, address)
        return
    document = core.pipelines.get(demo_site.NAME).document
    moved = msgspec.json.decode(demo_site.moved(msgspec.json.encode(document), address))
    await run.save(core, pipelines.decode(moved, core.registry))


def _refuse_strangers(host: str) -> None:
    with suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise errors.Invalid(
        f"host: the demo opens the console without a password, so it listens on this machine only, not on '{host}'; "
        "leave --host out, or use 'penstock serve', which asks for a password",
        field="host",
    )


def _refuse_shared(settings: Settings) -> None:
    for field in ("catalog_url", "warehouse_url"):
        if getattr(settings, field):
            name = f"PENSTOCK_{field.upper()}"
            raise errors.Invalid(
                f"{name}: the demo keeps its data in a directory of its own, not in your installation; unset it",
                field=name,
            )


def _free(host: str, port: int | None, usual: int) -> int:
    """The port that was asked for; else the usual one, or 0 (a free one) while another program has it."""
    if port is not None:
        return port
    try:
        return server.free_port(host, usual)
    except errors.Conflict:
        return 0


def _has_browser() -> bool:
    """Whether somebody sits before a screen: one that runs in the terminal would take it over."""
    return sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
