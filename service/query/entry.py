"""The entry function of a query child, without its imports.

The engines are imported inside the function, so that the API can name it without loading Polars and Arrow. The
forkserver has preloaded them (``processes.preloaded``), so that the import is free in the child.
"""

from __future__ import annotations

from service.processes.channel import Channel


def serve(channel: Channel, order: bytes) -> None:
    from service.query.child import worker

    worker.serve(channel, order)
