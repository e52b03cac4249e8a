"""`python main.py`: starts the agent."""

import sys
from pathlib import Path

# Run as a script, Python puts this folder in front, where our modules would hide others of the same name.
_HERE = str(Path(__file__).resolve().parent)
if sys.path and sys.path[0] == _HERE:
    sys.path[0] = str(Path(_HERE).parent.parent)

try:
    from voiceagents.agent import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}.\n"
        "Run `make setup` in the project's folder, then `source .venv/bin/activate` (or `uv run python main.py`)."
    )

if __name__ == "__main__":
    sys.exit(main())
