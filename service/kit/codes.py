"""Error codes: the one table that the API, its OpenAPI document and the command line read.

A code is what programs decide by, so that its name never changes. mypy refuses a code that is not in ``Code``; a
test refuses a code without an entry, and an entry without a code in the source.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeGuard

Code = Literal[
    "VALIDATION_ERROR",
    "INVALID_JSON",
    "INVALID_SQL",
    "SQL_NOT_ALLOWED",
    "QUERY_TIMEOUT",
    "QUERY_TOO_LARGE",
    "UNAUTHORIZED",
    "TOKEN_EXPIRED",
    "INVALID_CREDENTIALS",
    "FORBIDDEN",
    "NOT_FOUND",
    "PIPELINE_NOT_FOUND",
    "RUN_NOT_FOUND",
    "VERSION_NOT_FOUND",
    "USER_NOT_FOUND",
    "NO_DATA",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "CONFLICT",
    "PIPELINE_EXISTS",
    "PIPELINE_RUNNING",
    "TABLE_NAME_TAKEN",
    "IDEMPOTENCY_CONFLICT",
    "FILE_EXISTS",
    "USER_EXISTS",
    "LAST_ADMIN",
    "DATA_DIR_IN_USE",
    "PORT_IN_USE",
    "VERSION_IN_USE",
    "VERSION_SUPERSEDED",
    "REVISION_CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "RANGE_NOT_SATISFIABLE",
    "HEADERS_TOO_LARGE",
    "RATE_LIMITED",
    "INTERNAL_ERROR",
    "DATA_CORRUPT",
    "OVERLOADED",
    "STORAGE_FULL",
    "STEP_FAILED",
    "VALIDATION_FAILED",
    "SCHEMA_CHANGED",
    "NEEDS_ALL_ROWS",
    "NOT_REPLAYED",
    "NOTHING_PASSED",
    "RUN_TIMEOUT",
    "RUN_INTERRUPTED",
    "RUN_OUT_OF_MEMORY",
    "RUN_CRASHED",
    "REQUEST_OUT_OF_MEMORY",
    "REQUEST_CRASHED",
]
"""Every error code there is."""


class Entry(NamedTuple):
    """What a code means: HTTP status, exit code of a command, meaning in a sentence, and an example of a message."""

    status: int
    exit: int
    meaning: str
    example: str


CODES: dict[Code, Entry] = {
    "VALIDATION_ERROR": Entry(400, 2, "The input is wrong; `details.field` names where.", "name: is required"),
    "INVALID_JSON": Entry(400, 2, "The text is not JSON.", "the text is not JSON: JSON is malformed (byte 5)"),
    "INVALID_SQL": Entry(400, 2, "DuckDB does not understand the SQL.", "syntax error at or near 'SELEC'"),
    "SQL_NOT_ALLOWED": Entry(400, 2, "The SQL is more than a SELECT of stored tables.", "only one SELECT is allowed"),
    "QUERY_TIMEOUT": Entry(400, 7, "The answer took longer than allowed.", "the query did not end within 30 s"),
    "QUERY_TOO_LARGE": Entry(400, 6, "The answer needs more memory or bytes than allowed.",
                             "the query needs more memory than the limit of 1024 MiB"),
    "UNAUTHORIZED": Entry(401, 5, "The request names no user.",
                          "the access token is not valid; log in with POST /api/v1/auth/token"),
    "TOKEN_EXPIRED": Entry(401, 5, "The access token is too old.",
                           "the access token has expired; get a new one with POST /api/v1/auth/refresh"),
    "INVALID_CREDENTIALS": Entry(401, 5, "The login was refused.", "the username or the password is wrong"),
    "FORBIDDEN": Entry(403, 5, "The user may not do this.", "this needs the role operator; 'ann' is viewer"),
    "NOT_FOUND": Entry(404, 3, "There is nothing by this name.", "there is nothing at this path"),
    "PIPELINE_NOT_FOUND": Entry(404, 3, "There is no pipeline by this name.", "there is no pipeline 'orders'"),
    "RUN_NOT_FOUND": Entry(404, 3, "There is no run by this id.", "there is no run 'run_1'"),
    "VERSION_NOT_FOUND": Entry(404, 3, "The pipeline has no such version.", "the pipeline 'orders' has no version 9"),
    "USER_NOT_FOUND": Entry(404, 3, "There is no user by this name.", "there is no user 'ann'"),
    "NO_DATA": Entry(404, 3, "The pipeline exists and has stored nothing yet.",
                     "the pipeline 'orders' has no data yet"),
    "METHOD_NOT_ALLOWED": Entry(405, 1, "The path exists, the method does not.", "this method is not allowed here"),
    "NOT_ACCEPTABLE": Entry(406, 2, "The answer does not exist in this format.", "there is no format 'xml'"),
    "CONFLICT": Entry(409, 4, "This cannot be done in the present state.", "the data directory is in use"),
    "PIPELINE_EXISTS": Entry(409, 4, "A pipeline has this name already.", "a pipeline 'orders' exists"),
    "PIPELINE_RUNNING": Entry(409, 4, "A run of the pipeline is going.", "'orders' is being run"),
    "TABLE_NAME_TAKEN": Entry(409, 4, "Another pipeline stores a table of this name.",
                              "the table name 'orders' belongs to the pipeline 'shop'"),
    "IDEMPOTENCY_CONFLICT": Entry(409, 4, "The key was used for another request.",
                                  "the Idempotency-Key was used for another request; send a new key"),
    "FILE_EXISTS": Entry(409, 4, "The path is in the way of another one.",
                         "'orders' is something else already (a file or a folder)"),
    "USER_EXISTS": Entry(409, 4, "A user has this name already.", "a user 'ann' exists"),
    "LAST_ADMIN": Entry(409, 4, "The last admin cannot be removed.",
                        "'admin' is the last admin; make another one first"),
    "DATA_DIR_IN_USE": Entry(409, 4, "Another process has the data directory open.",
                             "the data directory is in use by another penstock (process 42)"),
    "PORT_IN_USE": Entry(409, 4, "The port cannot be listened on.", "127.0.0.1:8000 cannot be listened on"),
    "VERSION_IN_USE": Entry(409, 4, "The version is the newest, pinned, tagged, or being read.",
                            "version 3 of 'orders' cannot be deleted: it is pinned; remove the pin first"),
    "VERSION_SUPERSEDED": Entry(409, 4, "A newer version was published since the version was held.",
                                "version 4 of 'orders' cannot be accepted: version 5 was published since"),
    "REVISION_CONFLICT": Entry(412, 4, "`If-Match` names an older revision.",
                               "the configuration is at revision 3, not 2"),
    "PAYLOAD_TOO_LARGE": Entry(413, 6, "The body is larger than allowed.", "the body is larger than 8388608 bytes"),
    "UNSUPPORTED_MEDIA_TYPE": Entry(415, 1, "The body has a type that this route does not read.",
                                    "send 'Content-Type: application/json'"),
    "RANGE_NOT_SATISFIABLE": Entry(416, 2, "The file ends before the range that was asked for.",
                                   "the range begins after the end of the file, which has 1024 bytes"),
    "HEADERS_TOO_LARGE": Entry(431, 2, "The headers of the request are too long or too many.",
                               "a request has at most 64 headers, of 65536 bytes together"),
    "RATE_LIMITED": Entry(429, 8, "Too many requests; `Retry-After` says when to try again.",
                          "too many requests; at most 600 a minute"),
    "INTERNAL_ERROR": Entry(500, 1, "A fault of the service; its log has the reason under the request id.",
                            "the service failed to answer this"),
    "DATA_CORRUPT": Entry(500, 1, "A stored file is not as it was written.",
                          "version 3 of 'orders' is damaged: part-00000.parquet has another checksum"),
    "OVERLOADED": Entry(503, 8, "Too busy now; `Retry-After` says when to try again.",
                        "too many runs are waiting; try again later"),
    "STORAGE_FULL": Entry(507, 1, "The disk is full.", "the disk is full; free space or move PENSTOCK_DATA_DIR"),
    "STEP_FAILED": Entry(500, 1, "A step of a run failed; `details.step` names it.", "orders.csv: no such file"),
    "VALIDATION_FAILED": Entry(500, 1, "Rows break a rule of a validator; `details.rules` has the counts.",
                               "price_in_range: 3 of 990 rows break the rule"),
    "SCHEMA_CHANGED": Entry(500, 1, "Rows do not fit the columns of the version that they are added to.",
                            "the column 'price' is string now and float64 in version 3"),
    "NEEDS_ALL_ROWS": Entry(500, 1, "A replay cannot apply a step that computes from all rows.",
                            "this step computes from all rows of the data; execute the pipeline again"),
    "NOT_REPLAYED": Entry(500, 1, "Rows in quarantine could not be tried again.",
                          "the file of the rows is not there any more"),
    "NOTHING_PASSED": Entry(500, 1, "A replay found no row that passes now.",
                            "none of the 10 rows in quarantine of version 3 passes now"),
    "RUN_TIMEOUT": Entry(500, 1, "The run took longer than `timeout_seconds`.", "the run took longer than 3600 s"),
    "RUN_INTERRUPTED": Entry(500, 1, "The service stopped during the run.",
                             "the service stopped while the run was going; execute it again"),
    "RUN_OUT_OF_MEMORY": Entry(500, 1, "The run needs more memory than it may have.",
                               "the run's process was ended for want of memory"),
    "RUN_CRASHED": Entry(500, 1, "The run's process ended unexpectedly.",
                         "the run's process ended without an answer (SIGSEGV); nothing was stored"),
    "REQUEST_OUT_OF_MEMORY": Entry(400, 6, "The request needs more memory than it may have.",
                                   "the request's process was ended for want of memory"),
    "REQUEST_CRASHED": Entry(500, 1, "The request's process ended unexpectedly.",
                             "the request's process ended without an answer (SIGSEGV)"),
}  # fmt: skip
"""The table: each code with its entry."""

EXITS: dict[int, str] = {
    0: "it worked",
    1: "it failed: a run, a step or the service itself",
    2: "the input, the flags or the SQL are wrong",
    3: "there is no such file, pipeline, run, version or table",
    4: "it conflicts with the present state",
    5: "the user may not do this",
    6: "it needs more than the limits allow",
    7: "it took longer than allowed",
    8: "the service is too busy; try again",
    130: "it was interrupted (Ctrl-C)",
    141: "nobody read its output any more",
}
"""What the exit codes of the command line mean."""


def is_known(text: str) -> TypeGuard[Code]:
    """Whether ``text`` is a code of this release."""
    return text in CODES
