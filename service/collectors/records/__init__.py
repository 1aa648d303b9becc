"""JSON records as typed columns, spooled to bounded Parquet parts."""
