"""``python -m benchmarks COMMAND``."""

import sys

from benchmarks import compare, estimate, latency, macs, report, tracking
from benchmarks.arm import command as arm
from benchmarks.cli import run_commands
from benchmarks.device import command as device

if __name__ == "__main__":
    sys.exit(
        run_commands(
            {
                "macs": macs,
                "latency": latency,
                "tracking": tracking,
                "arm": arm,
                "estimate": estimate,
                "device": device,
                "report": report,
                "compare": compare,
            }
        )
    )
