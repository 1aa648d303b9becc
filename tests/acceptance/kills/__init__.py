"""Kills without warning of a real service, and what must hold after each: ``python -m tests.acceptance.kills``."""
