"""What does a person type?

Each module is one group of commands; all of them only read arguments, ask the same services as the API, and print. What
is slow to import is imported by the command that needs it, so that `--help` answers at once.
"""

from voiceagents.cli.app import app


def main() -> None:
    """The program `voiceagents`."""
    app(prog_name="voiceagents")


__all__ = ["app", "main"]
