"""The second engine: Polars plans executed on a Spark cluster, one a part of the rows (.decisions/0055)."""
