"""Notify: the task that sends messages to hooks, through the guarded client and with the egress rules of collectors."""

from __future__ import annotations

import asyncio
import dataclasses

import msgspec

from service.jobs.job import Job
from service.jobs.tasks.task import Message, Notification
from service.kit import errors, placeholders
from service.model.hook import SIGNATURE_HEADER, sign
from service.network.client import Client
from service.network.pacing import HostLimiters
from service.network.request import Request
from service.network.retry import Retry

STEP = "notify"
_SECONDS = 10.0  # for one request, its answer included
_PATIENCE = 15.0  # for one message


def send(task: Notification, job: Job) -> bytes:
    """The error of each message by its id, null for those that were accepted, as JSON."""
    return msgspec.json.encode(job.hidden(asyncio.run(_send_all(task, job))))


async def _send_all(task: Notification, job: Job) -> dict[str, str | None]:
    found = await asyncio.gather(*(_send(message, job) for message in task.messages))
    return {message.id: error for message, error in zip(task.messages, found, strict=True)}


async def _send(message: Message, job: Job) -> str | None:
    # Without the limits that collectors share: the service bounds the messages for one receiver, and neither a
    # collector nor another receiver on the same host may hold one up.
    ctx = dataclasses.replace(job.collect_context(STEP), limiters=HostLimiters())
    body = message.body.encode()
    try:
        known = job.grants.secrets
        headers = {}
        if message.secret is not None:
            headers[SIGNATURE_HEADER] = sign(placeholders.fill(message.secret, known, STEP), body, message.at)
        request = Request(
            url=placeholders.fill(message.url, known, STEP), method="POST", content=body, headers=headers,
            ignore_body=True, follow=False,
        )  # fmt: skip
        async with (
            asyncio.timeout(_PATIENCE),
            Client(ctx, timeout_seconds=_SECONDS, retry=Retry(max_attempts=1), field="url") as client,
        ):
            answer = await client.fetch(request)
    except errors.PenstockError as error:
        return error.message
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s"
    if answer.status >= 300:  # followed it may become a GET, whose answer says nothing of the message
        return "it redirects, which is not followed; write the address that it redirects to"
    return None
