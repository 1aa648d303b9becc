"""Imported by the forkserver only: the run worker with every plug-in, so that a child starts with all of it.

Importing is all it does; no query may run in the forkserver's own process.
"""

from service.runs import worker

worker.registry()
