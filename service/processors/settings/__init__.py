"""Settings that several processors share."""
