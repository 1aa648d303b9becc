"""Children: the only place where anything that may hang, explode or be poisoned runs."""
