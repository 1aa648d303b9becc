"""OpenLineage: the task that sends events to the operator's OpenLineage service, one after another."""

from __future__ import annotations

import asyncio
import time

import msgspec

from service.jobs.job import Job
from service.jobs.tasks.task import Delivered, LineageDelivery
from service.kit import errors
from service.network.client import Client
from service.network.request import Request
from service.network.retry import Retry

STEP = "openlineage"
_SECONDS = 10.0  # for one request, its answer included
_LONGEST = 30.0  # for all; what is left then is sent by the next task
_REFUSED = frozenset({400, 413, 422})
"""Answers about the event itself: to send it again changes nothing. All others are about the service."""


def send(task: LineageDelivery, job: Job) -> bytes:
    """``Delivered`` as JSON. Events after one that could not be sent are not tried, so that their order stays."""
    return msgspec.json.encode(asyncio.run(_send_all(task, job)))


async def _send_all(task: LineageDelivery, job: Job) -> Delivered:
    ctx, end = job.collect_context(STEP), time.monotonic() + _LONGEST
    headers = {"authorization": f"Bearer {task.api_key}"} if task.api_key is not None else {}
    done = 0
    refused: dict[int, str] = {}
    async with Client(ctx, timeout_seconds=_SECONDS, retry=Retry(max_attempts=1), field="url") as client:
        for place, event in enumerate(task.events):
            if time.monotonic() > end:
                break
            request = Request(
                url=task.url, method="POST", content=event.encode(), headers=headers, ignore_body=True, follow=False
            )
            try:
                if (await client.fetch(request)).status >= 300:
                    return Delivered(done=done, refused=refused, error="it redirects, which is not followed")
            except errors.PenstockError as error:
                if error.details.get("status") not in _REFUSED:
                    return Delivered(done=done, refused=refused, error=error.message)
                refused[place] = error.message
            done += 1
    return Delivered(done=done, refused=refused)
