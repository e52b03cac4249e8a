"""`python -m tests.faults --seeds 20`: a running campaign, its processes killed at random, once for each seed."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import HEADER, VICTIMS, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many runs")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--contacts", type=int, default=250)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=40.0, help="time over which the kills are spread")
    parser.add_argument(
        "--expires-in",
        type=float,
        help="seconds after which the second campaign expires; without it, its window shuts at a full minute",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of runs in which nothing went wrong, too")
    arguments = parser.parse_args()
    print(f"Killing {', '.join(VICTIMS)} while a campaign dials {arguments.contacts} people.\n\n{HEADER}", flush=True)
    wrong = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
        found = asyncio.run(
            run(
                seed,
                folder,
                contacts=arguments.contacts,
                kills=arguments.kills,
                seconds=arguments.seconds,
                expires_in=arguments.expires_in,
            )
        )
        print(found.row(), flush=True)
        for words in found.wrong:
            print(f"    {words}")
        if found.wrong:
            wrong += 1
        if found.wrong or arguments.keep:
            print(f"    logs: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{arguments.seeds} seeds, {wrong} with something wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
