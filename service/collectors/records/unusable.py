"""The error of a body or a file that does not hold records as expected."""


class Unusable(Exception):
    """It does not hold records as expected. The message is meant for the user."""
