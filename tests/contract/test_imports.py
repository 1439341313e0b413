"""Importing the package is cheap, silent, and brings in no engine and no training library."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import atpn_mobile

ROOT = Path(__file__).parents[2]

# What `import atpn_mobile` must leave alone: engines load when a backend is made, and what only
# training, conversion or pictures need never loads.
UNWANTED = {
    "ai_edge_litert",
    "benchmarks",
    "converters",
    "coremltools",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "scipy",
    "tensorflow",
    "tflite_runtime",
    "torch",
    "training",
}

LIST_MODULES = """
import sys
sys.path.insert(0, sys.argv[1])
import {module}
import json
json.dump(sorted({{name.split(".")[0] for name in sys.modules}}), sys.stderr)
"""


def imported_by(module: str) -> tuple[set[str], str]:
    """Top-level modules loaded by importing one in a fresh interpreter, and what it printed."""
    code = LIST_MODULES.format(module=module)
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code, str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr)), done.stdout


@pytest.mark.parametrize("module", ["atpn_mobile", "atpn_mobile.cli", "atpn_mobile.testing"])
def test_loads_no_engine_and_no_training_library(module: str) -> None:
    loaded, printed = imported_by(module)
    assert "atpn_mobile" in loaded
    assert not loaded & UNWANTED
    assert not printed


def test_public_names_exist_once() -> None:
    assert len(set(atpn_mobile.__all__)) == len(atpn_mobile.__all__)
    assert [name for name in atpn_mobile.__all__ if not hasattr(atpn_mobile, name)] == []


def test_public_classes_come_from_this_package() -> None:
    public = [getattr(atpn_mobile, name) for name in atpn_mobile.__all__]
    classes = [one for one in public if isinstance(one, type)]
    assert classes
    assert [one for one in classes if not one.__module__.startswith("atpn_mobile.")] == []
