"""The child side of runs: what a run does inside its process."""
