"""A pipeline file at a terminal: the document in it, and what its relative paths mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.kit import documents, errors


def read(file: Path) -> dict[str, Any]:
    """The document in a file: JSON if its name ends in ``.json``, else YAML.

    Raises ``errors.Invalid``, ``errors.Missing``.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise errors.Missing(f"{file} cannot be read: {error.strerror}", field="file") from error
    document = documents.configuration(text) if file.suffix.lower() == ".json" else documents.from_yaml(text)
    if not isinstance(document, dict):
        raise errors.Invalid(f"{file}: a pipeline is a mapping with at least 'name' and 'collectors'")
    return document


def roots(file: Path) -> tuple[str, str]:
    """The directories in which a relative path of the file is looked up: its own and the current one."""
    return str(file.absolute().parent), str(Path.cwd())
