"""What a campaign has done: how many kills there were, of whom and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.acceptance.kills.failpoints import RECOVERING

ANY_TIME = "at any time"
_PROTOCOLS = {  # of what a step is, by the modules of its place
    "a backup": ("backup", "backup_writer", "backup_directory"),
    "a merge": ("merging", "batch", "key_statistics"),
    "a retention sweep": ("version_upkeep", "expired_runs"),
    "a publication": (
        "publication", "manifest", "attempt", "next_version", "part", "compaction", "run_worker", "duckdb", "merge",
        "collect", "limits", "unchanged", "remembered_state", "restoration", "held_versions", "history",
    ),
}  # fmt: skip


@dataclass
class Tally:
    """The kills of a campaign."""

    victims: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.victims.total()

    @property
    def at_any_time(self) -> int:
        return self.places[ANY_TIME]

    def add(self, place: str, victims: str) -> None:
        self.victims[victims] += 1
        self.places[place] += 1

    def table(self, steps: set[str]) -> str:
        """The kills by victims and by what they hit, where ``steps`` are those that were met."""
        met, hit = Counter(map(_protocol, steps)), Counter(map(_protocol, steps & set(self.places)))
        return "\n".join([
            *(f"{number:5}  of {victims}" for victims, number in sorted(self.victims.items())),
            "",
            f"{self.at_any_time:5}  {ANY_TIME}",
            *(f"{hit[kind]:5}  of {met[kind]} before and after steps of {kind}" for kind in sorted(met)),
            f"{hit.total():5}  of {met.total()} before and after steps",
            *(f"       met once: {step}" for step in sorted(steps - set(self.places))),
        ])  # fmt: skip


def _protocol(step: str) -> str:
    if RECOVERING in step:
        return "a start"
    modules = {name.partition(".")[0] for name in step.partition(": ")[0].split()}
    return next((kind for kind, its in _PROTOCOLS.items() if modules & set(its)), "another request")
