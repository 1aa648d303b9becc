"""A client of the REST API of a running service, for the command line."""
