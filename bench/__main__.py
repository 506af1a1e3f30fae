"""`make bench [ONLY=policy,ingest]`: every benchmark, one after the other, as tables with ratios.

Each module in this package with a `main()` is one; a name on the command line or in ONLY picks some.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys

import bench


def names() -> list[str]:
    """Modules here that can be run, in alphabetical order."""
    found = [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")]
    return [name for name in found if hasattr(importlib.import_module(f"bench.{name}"), "main")]


def main() -> None:
    """Run the selected benchmarks, or all."""
    wanted = sys.argv[1:] or [part for part in os.environ.get("ONLY", "").split(",") if part]
    unknown = set(wanted) - set(names())
    if unknown:
        sys.exit(f"bench: no such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(names())}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    for name in wanted or names():
        print(f"\n## {name}\n", flush=True)
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
