"""What a pipeline, a run, a version, a user is: pure values, no IO."""
