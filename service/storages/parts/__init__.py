"""Parts of a version: what a run changes is written, everything else is taken from the version before as it is."""
