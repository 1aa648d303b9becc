"""Names that nothing uses, found by vulture; the allow-list holds those that something outside the code calls.

Declared fields are left out, since msgspec reads and writes them by name, and so are classes with a tag, which the
registry finds.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from vulture.core import Vulture

ALLOWED = {
    "add_user", "list_users", "remove_user", "add_key",  # commands: click calls them
    "pin_version", "unpin_version", "tag_version", "untag_version", "restore_version",
    "accept_version", "reject_version",
    "to_asgi_response", "send_body", "authorize_connection",  # Litestar's protocols of responses and handlers
    "debug", "critical",  # structlog calls the method of a line's level
    "do_GET", "do_HEAD", "log_message", "protocol_version",  # http.server
    "connect_unix_socket",  # httpcore's network backend
    "writable", "tell",  # the file that Arrow writes to
    "handlers",  # logging
    "oneof_index", "proto3_optional",  # fields of Protobuf's descriptors
    "bind_uds",  # Granian
    "generate_trace_id", "generate_span_id",  # OpenTelemetry's ids
    "connection_made", "data_received", "eof_received", "connection_lost", "pause_writing",  # asyncio.Protocol
    "_get_default_plugins",  # Litestar
    "NULL_ORDERING",  # a sqlglot dialect
    "ENTRIES",  # imported so that the forkserver loads the modules
    "_check_problems", "_expression_problems", "_row_count_problems", "_freshness_problems",  # chosen by a rule's kind
    "FixedClock", "advance", "sleeps",  # a clock for tests
    "_repr_html_",  # notebooks
    "__getattr__",  # the client's names, imported when they are asked for
    "EXITS",  # what each exit status of the command line means; documentation reads it
}  # fmt: skip


def _declared(path: Path) -> set[int]:
    """Lines of annotated class fields, and of classes that carry a tag."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            lines |= {entry.lineno for entry in node.body if isinstance(entry, ast.AnnAssign)}
            if any(keyword.arg == "tag" for keyword in node.keywords):
                lines.add(node.lineno)
    return lines


def main(folder: str) -> int:
    """Report every unused name. Returns the exit status."""
    found = Vulture()
    found.scavenge([folder])
    declared: dict[Path, set[int]] = {}
    left = []
    for item in found.get_unused_code(min_confidence=60):
        path = Path(item.filename)
        lines = declared.setdefault(path, _declared(path))
        if item.name not in ALLOWED and item.first_lineno not in lines:
            left.append(f"{path}:{item.first_lineno}: unused {item.typ} '{item.name}'")
    print(*left, sep="\n", end="\n" if left else "")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main("service"))
