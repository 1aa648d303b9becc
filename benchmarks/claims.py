"""Claims of README and CHANGELOG about speed, memory and size, and the questions whose figures they rest on.

A test finds the claims by their words, so that none is made without a question. What is compared with an earlier
release is measured by ``python -m benchmarks.against TREE --question …``.
"""

from __future__ import annotations

import re

CLAIM = re.compile(
    r"\b(faster|slower|cheaper|quicker|milliseconds?|fraction of a second|under a second|half of before)\b"
    r"|\bless (time|CPU|memory)\b|\bcosts? (what|less)\b"
    r"|\b(half|third|quarter|fifth|tenth) (less|of the (CPU|time|memory)|the (CPU|time|memory|rate))\b"
    r"|\d ?×|× ?\w|\b\d+(\.\d+)? times\b|\d ?(ms|req/s|MB/s)\b",
    re.IGNORECASE,
)
"""The words of a claim, as a line of either document has them."""

CLAIMS = {
    "| contestant ": "end_to_end",
    "the reference job takes 15 % less time": "end_to_end",
    "zstd level 1 (it was 3)": "compression",
    "Small runs over files cost less": "tiny_runs",
    "a point query costs a few milliseconds": "reading",
    "Small runs cost less": "small_run",
    "`serve` answers `/health` after": "start",
    "`penstock validate` takes a third": "start",
    "`/apply` answers from kept workers": "apply",
    "exports in NDJSON, CSV and Arrow are faster": "exports",
    "`GET /pipeline` and the lists of versions answer from memory": "mix",
    "`POST /pipeline/{name}/rows` costs": "lookup",
    "`/health` and `/status` cost a third less": "reading",
    "76 MiB less memory": "start",
    "CSV files of 200 MB without quotes": "csv_scan",
    "Reading CSV files takes 5 to 8 % less CPU": "csv_scan",
    "Rows from web pages take": "html_rows",
    "Casts of texts read each value once": "lost_values",
    "`exact: false` of the analyzer estimates": "profile",
    "versions in different orders are compared": "diff",
    "start a quarter faster": "start",
    "Pages far down a sorted or filtered table": "console",
}
"""The beginning of each claim, and the question."""
