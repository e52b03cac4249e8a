"""What does a person type?

Each module is one group of commands; all of them only read arguments, ask the same services as the API, and print. What
is slow to import is imported by the command that needs it, so that `--help` answers at once.
"""

import sys


def main() -> None:
    """The program `voiceagents`."""
    try:
        from voiceagents.cli.app import app  # here, so that Ctrl-C in the first half second is no traceback either

        app(prog_name="voiceagents")
    except KeyboardInterrupt:
        sys.exit(130)
