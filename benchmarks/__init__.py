"""Benchmarks: one runner (``python -m benchmarks``), one file a question, one file a contestant.

Every figure is a ratio between contestants of the same run on the same machine: seconds differ from machine to
machine, ratios hold. Results are compared before times are.
"""
