"""``penstock`` and ``python -m service``. Its top imports nothing: every child process runs this module again."""


def main() -> None:
    """The command line."""
    from service.cli.commands import penstock

    penstock(prog_name="penstock")


if __name__ == "__main__":
    main()
