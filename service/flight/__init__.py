"""Flight SQL for BI tools and database drivers: a process of its own, which is a client of the REST API."""
