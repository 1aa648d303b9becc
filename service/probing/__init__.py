"""Probing of one source: what it holds, and a collector that reads it."""
