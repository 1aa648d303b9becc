"""The ground floor: errors, clock, ids, settings, tokens, passwords. Knows nothing of pipelines."""
