"""The runs, without processes."""
