"""Reports: what was found, as pages for people."""
