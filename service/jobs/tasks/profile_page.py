"""The task that renders a version's profiles as a page."""

from __future__ import annotations

from service.jobs.tasks.task import ProfilePage


def page(task: ProfilePage) -> bytes:
    """HTML in UTF-8."""
    from service.reports import profile  # its renderer takes 60 MB, which only this child needs

    return profile.page(task.pipeline, task.version, task.created, task.profiles).encode()
