"""The catalog in PostgreSQL, which any number of processes may use at the same time.

Only this package imports psycopg, and only a service with ``PENSTOCK_CATALOG_URL`` imports it.
"""
