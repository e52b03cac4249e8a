"""`python -m bench`: which measurements are there?"""

import pkgutil
import runpy
import sys
from importlib import import_module

import bench

NAMES = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))


def main() -> None:
    """Runs the named measurement with the arguments after it; without a name, lists them."""
    if len(sys.argv) > 1 and sys.argv[1] in NAMES:
        name = sys.argv.pop(1)
        runpy.run_module(f"bench.{name}", run_name="__main__")
        return
    for name in NAMES:
        words = (import_module(f"bench.{name}").__doc__ or "").splitlines()[0]
        print(f"  python -m bench {name:<18} {words}")


main()
