"""The task that renders a version's profiles as a page."""

from __future__ import annotations

import msgspec

from service.jobs.job import Job
from service.model.profile import Profile


class ProfilePage(msgspec.Struct, frozen=True, kw_only=True, tag="profile_page"):
    """Render the profiles of one version as a page of HTML in UTF-8."""

    pipeline: str
    version: int
    created: str
    profiles: list[Profile]

    def answer(self, job: Job) -> bytes:
        from service.reports import profile  # its renderer takes 60 MB, which only this child needs

        return profile.page(self.pipeline, self.version, self.created, self.profiles).encode()
