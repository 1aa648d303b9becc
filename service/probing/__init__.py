"""Probing: a look at one source, and the collector that would read it."""
