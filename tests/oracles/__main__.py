"""`python -m tests.oracles SUITE CASES.json [--data DIR]`: run a case file through the product's public functions.

Ends with `N passed, M failed, K skipped`; exit status 0 when nothing failed, 1 when something did, 2 when the command
line or the file is wrong.
"""

import argparse
import importlib
import sys
from pathlib import Path

from tests.oracles.protocol import Status, Suite
from tests.oracles.runner import CaseFileError, load, run_document

SUITES = ("charge_models", "p95", "counters", "support_sla")
_SRC = Path(__file__).resolve().parents[2] / "src"


def suite(name: str) -> Suite:
    """The suite of that name, from the module of the same name."""
    module = importlib.import_module(f"tests.oracles.{name}")
    return Suite(name, module.run, getattr(module, "cases", None))


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles", description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=SUITES, metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("cases", type=Path, metavar="CASES.json", help="a case file in the format of the shared data")
    parser.add_argument("--data", type=Path, default=None, metavar="DIR", help="where the series a case names are")
    options = parser.parse_args(arguments)
    if str(_SRC) not in sys.path:
        sys.path.insert(0, str(_SRC))  # so that the suites run in a checkout that isn't installed, too
    if options.data is not None and not options.data.is_dir():
        print(f"{options.data}: no such directory (--data)", file=sys.stderr)
        return 2
    try:
        counts = run_document(suite(options.suite), load(options.cases), options.data)
    except CaseFileError as error:
        print(f"{options.cases}: {error}" if str(options.cases) not in str(error) else error, file=sys.stderr)
        return 2
    return 1 if counts[Status.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
