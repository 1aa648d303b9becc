"""Routes of the administration of the service: backups, and the comparison of the catalog with the files."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from service.api import audit_actions, examples, query_string, request_body
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import post
from service.api.services import ServicesDependency, TypedRequest
from service.runs.backup import BackupReport
from service.runs.verification import Verification

_VERIFICATION = {
    "versions": 30, "files": 124,
    "findings": [
        {"kind": "damaged", "folder": "warehouse/orders/v000003", "pipeline": "orders", "version": 3,
         "message": "part-00000.parquet has another checksum"},
    ],
}  # fmt: skip


class BackupRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to write a backup."""

    directory: Annotated[
        str,
        msgspec.Meta(
            description="An absolute path on the service's machine, outside the data directory: absent, empty, or with "
            "earlier backups.",
            min_length=1, max_length=4096,
        ),
    ]  # fmt: skip


@post(
    "/admin/backup",
    **route(
        "admin",
        "Service",
        "Back up the data",
        "Makes a consistent copy of the catalog, all versions, the uploads, the audit log and the signing secret while "
        "the service works, and answers when it is whole and flushed to disk. The backup is a folder of `directory`, "
        "named by its time. Files that did not change are shared with the backup before it by hard links, never with "
        "the data directory. An interrupted backup leaves nothing that can be restored, and earlier backups as they "
        "were. `penstock restore` makes a data directory from it.",
        ResponseDoc(text="The backup is whole.", kind=BackupReport, example=examples.BACKUP),
        errors=("CONFLICT", "DATA_CORRUPT", "OVERLOADED"),
        body=RequestBody(kind=BackupRequest, example={"directory": "/var/backups/penstock"}),
        action=audit_actions.BACK_UP,
    ),
)
async def make_backup(request: TypedRequest, services: ServicesDependency) -> BackupReport:
    query_string.read(request, query_string.NoParameters)
    wanted = await request_body.value(request, BackupRequest, services.settings.max_body_bytes)
    return await asyncio.to_thread(services.backups.make, wanted.directory)


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to compare."""

    deep: Annotated[bool, msgspec.Meta(description="Read every file and compare its checksum, not only its size.")] = (
        False
    )


@post(
    "/admin/verify",
    **route(
        "admin",
        "Service",
        "Verify the data",
        "Compares the catalog with the stored files and answers the findings: versions whose files are missing or "
        "changed (`damaged`), and folders that the catalog does not know (`unknown`). Nothing is changed. With `deep` "
        "it reads everything that is stored, which takes its time.",
        ResponseDoc(text="The findings.", kind=Verification, example=_VERIFICATION),
        errors=("DATA_CORRUPT", "OVERLOADED"),
        body=RequestBody(kind=VerifyRequest, example={"deep": True}, required=False),
        action=audit_actions.VERIFY,
    ),
)
async def verify(request: TypedRequest, services: ServicesDependency) -> Verification:
    query_string.read(request, query_string.NoParameters)
    wanted = await request_body.optional(request, VerifyRequest, services.settings.max_body_bytes)
    return await asyncio.to_thread(lambda: services.verify(deep=wanted is not None and wanted.deep))


HANDLERS = [make_backup, verify]
