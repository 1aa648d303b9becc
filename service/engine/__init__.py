"""The engine: Polars behind ``Frame``, and the frames that record, replay and dry-run a plan."""
