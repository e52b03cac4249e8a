"""`python -m voiceagents.speech --port P`: the offline voice as a process of its own, on loopback only."""

import argparse
import logging
import os
import signal
import sys
import threading
import time

import uvicorn

from . import NOTICE
from .server import create_app


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m voiceagents.speech", description=NOTICE)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-env", default="VOICEAGENTS_SPEECH_KEY", help="the environment variable with the key")
    parser.add_argument("--parent", type=int, help="end when this process, which started us, is gone")
    arguments = parser.parse_args()
    key = os.environ.get(arguments.key_env, "")
    if not key:
        parser.error(f"{arguments.key_env} is not set: it must hold the key that clients send")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    sys.stdout.write(f"{NOTICE}\n")
    sys.stdout.flush()
    if arguments.parent:
        threading.Thread(target=_end_with, args=(arguments.parent,), daemon=True).start()
    # uvicorn itself ends with status 3 when a model cannot be loaded
    uvicorn.run(create_app(key), host="127.0.0.1", port=arguments.port, access_log=False)
    return 0


def _end_with(parent: int) -> None:
    """Waits until we are handed to another parent: a server must not outlive a program that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)  # no event tells of it on every system
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
