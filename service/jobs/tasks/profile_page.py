"""Page: the errand that draws a version's profile."""

from __future__ import annotations

from typing import Any

import msgspec

from service.jobs.job import Job


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True, tag="profile_page"):
    """Draw the profiles of one version as a page of HTML, in UTF-8."""

    pipeline: str
    version: int
    created: str
    profiles: list[dict[str, Any]]

    def answer(self, job: Job) -> bytes:
        from service.reports import profile  # the engine behind it is 60 MB that only this child needs

        return profile.page(self.pipeline, self.version, self.created, self.profiles).encode()
