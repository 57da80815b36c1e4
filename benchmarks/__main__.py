"""`python -m benchmarks [NAME ...]`: run them all or some, print one table, exit 1 when a goal is missed."""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import harness

NAMES = (
    "ingest", "http", "remote_write", "percentile", "pricing", "ledger", "close", "pdf", "einvoice", "mail", "bank",
    "overage_control", "enforcement", "promises", "arrears",
)  # fmt: skip


def one(name: str, out: Path) -> None:
    """Run one module here and leave its results as JSON in `out`."""
    module = importlib.import_module(f"benchmarks.{name}")
    results = [r if r.peak_mib is not None else replace(r, peak_mib=harness.peak_mib()) for r in module.run()]
    out.write_text(json.dumps(harness.rows(results)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, Path(args.out))
        return 0
    unknown = [name for name in args.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}: expected {', '.join(NAMES)}")
    results: list[harness.Result] = []
    broken = []
    for name in args.names or NAMES:
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "results.json"
            done = subprocess.run([sys.executable, "-m", "benchmarks", "--one", name, "--out", str(out)], check=False)
            if done.returncode or not out.exists():
                broken.append(name)
                continue
            results += [harness.Result(**row) for row in json.loads(out.read_text())]
    print(harness.table(results))
    missed = [result.name for result in results if result.ok is False]
    for name in broken:
        print(f"{name}: did not finish (its error is above)")
    for name in missed:
        print(f"{name}: goal missed")
    return 1 if broken or missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
