"""``python -m benchmarks COMMAND``."""

import sys

from benchmarks import compare, macs, report
from benchmarks.cli import run_commands

if __name__ == "__main__":
    sys.exit(run_commands({"macs": macs, "report": report, "compare": compare}))
