"""The settings of an OpenID Connect issuer: how a map of roles is written, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from service.kit.errors import Problem

PREFIX = "PENSTOCK_OIDC_"


def role_map(text: str) -> dict[str, str]:
    """``staff=viewer, ops=operator`` or a JSON object. Raises ValueError."""
    if text.lstrip().startswith("{"):
        found = json.loads(text)
        return {str(value): str(role) for value, role in found.items()}
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(value.strip() for value, _, _ in pairs):
        raise ValueError("write value=role, value=role, or a JSON object")
    return {value.strip(): role.strip() for value, _, role in pairs}


def problems(settings: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with these settings together."""
    issuer = settings.get("oidc_issuer")
    if issuer is None:
        names = [name for name in settings if name.startswith("oidc_")]
        return [Problem(f"PENSTOCK_{name.upper()}", f"needs {PREFIX}ISSUER") for name in names]
    found = [] if _is_issuer(issuer) else [Problem(f"{PREFIX}ISSUER", "is not an https:// URL without ?, # and @")]
    if not settings.get("oidc_audience"):
        found.append(Problem(f"{PREFIX}AUDIENCE", "is required: tokens that name this audience are meant for Penstock"))
    return found


def _is_issuer(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("https", "http")
        and bool(parts.hostname)
        and not {"?", "#", "@"} & set(text)
        and text == text.strip()
    )
