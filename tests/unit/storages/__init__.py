"""Tests of storages."""
