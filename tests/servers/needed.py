"""What the tests need beside Python packages: found, else installed where that can be done, else said plainly."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
NEEDED = {
    "chromium": ("chromium", "chromium"),
    "postgres": ("postgresql", "PostgreSQL 15 or newer"),
}


def missing() -> list[str]:
    found = {
        "chromium": shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"),
        "postgres": shutil.which("postgres") or (POSTGRES and POSTGRES[0]),
    }
    return [name for name in NEEDED if not found[name]]


def main() -> int:
    wanted = missing()
    if not wanted:
        return 0
    packages = [NEEDED[name][0] for name in wanted]
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("installing for the tests:", *packages)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], check=True, **quiet)  # type: ignore[call-overload]
    if still := missing():
        print("the tests need", ", ".join(NEEDED[name][1] for name in still), "- install it and try again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
