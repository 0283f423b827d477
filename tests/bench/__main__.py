"""`make bench`: every bench in turn, in a process of its own; each prints its figures beside their limits."""

import pkgutil
import subprocess
import sys

import tests.bench


def main(chosen: list[str]) -> int:
    modules = [one.name for one in pkgutil.iter_modules(tests.bench.__path__)]
    names = [name.removeprefix("bench_") for name in modules if name.startswith("bench_")]
    failed = []
    for name in names:
        if name.startswith("__") or (chosen and name not in chosen):
            continue
        print(f"\n— {name} —", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.bench.bench_{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print("\nfailed:", ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
