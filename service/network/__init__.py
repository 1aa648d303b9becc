"""The guarded HTTP client: egress policy, pacing, retry, compression and the table of errors."""
