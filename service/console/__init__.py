"""The console: pages for people, on the public API only."""
