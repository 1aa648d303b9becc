"""Random SQL and random pipelines over random tables, compared with DuckDB and with pandas.

    python -m tests.differential --count 1000 --seed 7 [--only sql|expressions|pipelines]

Each case has a number; ``--seed S --first N --count 1`` runs that one again. What both refuse, or both fail at, agrees.
"""
