"""Doing: start, supervise, publish, cancel, repair."""
