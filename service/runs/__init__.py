"""The parent side of runs: start, supervise, publish, cancel, recover."""
