"""What ``penstock serve`` and ``penstock worker`` do first: settings, logs, and what is wrong with them."""

from __future__ import annotations

import os
import sys
from typing import Any

import structlog

from service.kit import settings as configuration
from service.kit.settings import Settings
from service.telemetry import logs

_TURN_SECONDS = 0.0005
"""How long a thread may keep others from the interpreter. Python's own 5 ms are several requests."""


def begin(**chosen: Any) -> tuple[Settings, dict[str, str]]:
    """The settings of this process and the environment that they came from, which is empty of them from then on.

    Raises ``errors.Invalid``.
    """
    environment = dict(os.environ)
    settings = configuration.load(environment, **chosen)
    for name in environment:
        if name.startswith(configuration.PREFIX):
            del os.environ[name]  # no child process may find a secret in its environment
    logs.configure(settings.log_format, settings.log_level)
    log = structlog.get_logger("penstock.server")
    wanted = {name.removeprefix(configuration.PREFIX).lower(): value for name, value in environment.items()}
    for problem in configuration.reduced(wanted | {k: v for k, v in chosen.items() if v is not None}, settings):
        log.warning("settings.reduced", setting=problem.field, hint=problem.message)
    for problem in configuration.unknown(environment):
        log.warning("settings.unknown", setting=problem.field, hint=problem.message)
    for root in settings.root_folders:
        if not root.is_dir():
            log.warning("settings.no_file_root", path=str(root), hint="there is no such directory")
    sys.setswitchinterval(_TURN_SECONDS)
    return settings, environment
