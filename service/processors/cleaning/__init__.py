"""How the cleaner fills missing values."""
