"""The emulated ARM system, where it is installed."""

import os
from pathlib import Path

import pytest

from benchmarks.arm.emulator import FOLDER, INSTALL, Emulator, find_emulator
from benchmarks.errors import BenchmarkError


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    """ATPN_ARM_DIR chooses the folder."""
    folder = Path(os.environ.get("ATPN_ARM_DIR", FOLDER))
    try:
        return find_emulator(folder)
    except BenchmarkError:
        pytest.skip(
            f"no ARM system in {folder}: instruction counts, parity on ARM and ssh are NOT tested; "
            f"run {INSTALL}"
        )
