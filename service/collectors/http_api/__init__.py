"""How an HTTP API is read: requests, authentication, pagination, incremental state and page bodies."""
