"""`python -m voiceagents.cli`: the same as `voiceagents`, for where scripts are not on the path."""

from voiceagents.cli import main

main()
