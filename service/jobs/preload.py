"""Imported by the forkserver only: the run worker with every plug-in, so that a child starts with all of it.

It imports, and it decodes each plug-in's example, so that types are resolved once and not in every child. No query
may run in the forkserver's own process. What libraries import at their first use is imported here, too.
"""

import pyarrow.compute  # noqa: F401 - 35 ms at the first exchange between Polars and Arrow

from service.jobs import apply_worker, plugins, run_worker
from service.jobs.tasks import worker
from service.kit import decoding, lazy, startup, struct_types

ENTRIES = (run_worker.work, worker.work, apply_worker.work)

plugins.registry()
lazy.load()
for _shelf in (plugins.registry().collectors, plugins.registry().processors, plugins.registry().storages):
    for _tag, _kind in _shelf.kinds.items():
        _example = _kind.EXAMPLE
        decoding.decode(_kind, {**_example.get("config", _example), "type": _tag})
struct_types.prepare()

startup.end()
