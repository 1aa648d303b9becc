"""Entry: the function that a query child runs, without what it needs.

The engines are imported inside, so that the API can name the function and not load Polars and Arrow for it; the
forkserver has preloaded them (``processes.preloaded``), which makes the import free where it happens.
"""

from __future__ import annotations

from service.processes.channel import Channel


def serve(channel: Channel, order: bytes) -> None:
    from service.query.child import worker

    worker.serve(channel, order)
