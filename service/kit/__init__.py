"""The lowest floor: errors and their codes, clock, ids, settings, tokens, passwords, documents."""
