"""Pipelines, runs, versions, users and plans as pure values; no IO."""
