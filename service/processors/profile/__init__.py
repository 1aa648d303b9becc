"""What the analyzer says of a profile."""
