"""Command-line options that several commands share."""

import argparse
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """A type for ``add_argument``: whole numbers from ``least``."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a number of {least} or more, got {text!r}")
        return int(text)

    return number


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what of the machine a training takes: threads, workers, device, fused."""
    parser.add_argument("--threads", type=at_least(1), default=2, help="threads of the network")
    parser.add_argument(
        "--workers", type=at_least(0), default=2, help="processes that prepare crops"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--fused",
        action="store_true",
        help="in bfloat16, by kernels compiled here: Linux, g++, a CPU with AVX-512 BF16",
    )
