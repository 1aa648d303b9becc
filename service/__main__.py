"""``penstock`` and ``python -m service``. Its top imports nothing: every child process runs this module again."""


def main() -> None:
    """The command line. Ctrl-C ends it with exit code 130 and no traceback, also while modules are being loaded."""
    import os
    import signal
    import sys

    try:
        from service.cli.commands import penstock

        penstock(prog_name="penstock")
    except KeyboardInterrupt:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(130)  # threads that still work and exit handlers would print tracebacks
    finally:  # the command has ended, and the interpreter waits for its threads
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))


if __name__ == "__main__":
    main()
