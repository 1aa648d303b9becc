"""Penstock: data pipelines and analytics as one self-hosted service.

Data flows one way (configuration, collect, process, store, serve) and imports only go down;
the floors are listed in ``pyproject.toml`` under import-linter.
"""

__version__ = "0.1.0"
