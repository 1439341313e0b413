"""``python -m benchmarks COMMAND``."""

import sys

from benchmarks import compare, estimate, latency, macs, report
from benchmarks.arm import command as arm
from benchmarks.cli import run_commands
from benchmarks.device import command as device

if __name__ == "__main__":
    sys.exit(
        run_commands(
            {
                "macs": macs,
                "latency": latency,
                "arm": arm,
                "estimate": estimate,
                "device": device,
                "report": report,
                "compare": compare,
            }
        )
    )
