"""One-shot tasks: one question answered by a child process."""
