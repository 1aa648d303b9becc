"""The questions. Each module has ``ask(options) -> dict`` (JSON-able), and its docstring says what is asked."""
