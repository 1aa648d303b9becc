"""Profile page: the task that draws a version's profile."""

from __future__ import annotations

import msgspec

from service.jobs.job import Job
from service.values.profile import Profile


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True, tag="profile_page"):
    """Render the profiles of one version as a page of HTML in UTF-8."""

    pipeline: str
    version: int
    created: str
    profiles: list[Profile]

    def answer(self, job: Job) -> bytes:
        from service.reports import profile  # the chart engine takes 60 MB, which only this child needs

        return profile.page(self.pipeline, self.version, self.created, self.profiles).encode()
