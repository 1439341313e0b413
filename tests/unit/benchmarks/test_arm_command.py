"""The command `arm`, without the emulator."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm.command import loop_rows, make_input, network_columns
from benchmarks.arm.counts import CLASSES, Counts
from benchmarks.arm.emulator import CORES, Emulator, find_emulator
from benchmarks.arm.labels import STAGES
from benchmarks.errors import BenchmarkError
from benchmarks.layers import Network, Tensor

ROOT = Path(__file__).parents[3]
INSTALL = ROOT / "benchmarks" / "arm" / "install.sh"


def network(*inputs: Tensor) -> Network:
    tensors = {one.storage: one for one in inputs}
    return Network("n", "onnx", tuple(tensors), (), (), tensors, 0)


def test_input_has_the_networks_shape_and_is_the_same_every_time():
    given = make_input(network(Tensor((1, 3, 4, 5), 4, "image")))
    assert (given.shape, given.dtype) == ((1, 3, 4, 5), np.float32)
    assert 0.0 <= given.min() < 64.0 < 192.0 < given.max() <= 255.0
    np.testing.assert_array_equal(given, make_input(network(Tensor((1, 3, 4, 5), 4, "image"))))


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (Tensor((1, 3), 4, "a"), Tensor((1, 3), 4, "b")),
        (Tensor((1, 3), 1, "int8"),),
        (Tensor((-1, 3), 4, "any batch"),),
    ],
)
def test_refuses_other_inputs(inputs):
    with pytest.raises(BenchmarkError, match="expected one float32 input of a fixed shape"):
        make_input(network(*inputs))


def test_columns_of_a_network():
    counts = Counts({**dict.fromkeys(CLASSES, 0), "load": 30, "dot": 20})
    columns = network_columns(counts, macs=200)
    assert (columns["instructions"], columns["per_mac"], columns["dot"]) == (50, 0.25, 20)
    assert network_columns(counts, macs=0)["per_mac"] is None


def test_rows_of_a_frame():
    stages = {name: Counts({**dict.fromkeys(CLASSES, 0), "load": 10}) for name in STAGES.values()}
    stages["network"] = Counts({**dict.fromkeys(CLASSES, 0), "load": 100 - 10 * (len(STAGES) - 1)})
    rows = {row["stage"]: row for row in loop_rows({"core": "x"}, stages)}
    assert rows["all"]["instructions"] == 100
    assert rows["decode"]["share_percent"] == 10.0
    assert rows["outside the network"]["instructions"] == 10 * (len(STAGES) - 1)
    assert all(row["core"] == "x" for row in rows.values())


def test_says_what_to_run_where_there_is_no_arm_system(tmp_path):
    with pytest.raises(BenchmarkError, match=r"run benchmarks/arm/install.sh"):
        find_emulator(tmp_path)


@pytest.mark.parametrize("text", [None, "{", "{}", '{"host": {}}', "[]"])
def test_versions_must_be_readable(tmp_path, text):
    if text is not None:
        (tmp_path / "versions.json").write_text(text)
    with pytest.raises(BenchmarkError, match=r"versions\.json"):
        Emulator(tmp_path).versions()


def test_the_engines_are_those_that_the_project_converts_with():
    project = (ROOT / "pyproject.toml").read_text("utf-8")  # Python 3.10 has no tomllib
    (extra,) = re.findall(r"^convert = \[\n(.*?)\n\]", project, re.MULTILINE | re.DOTALL)
    pinned = set(re.findall(r'"([^";]+)', extra))
    (wheels,) = re.findall(
        r"^readonly WHEELS=\(\n(.*?)\n\)", INSTALL.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    engines = {
        one for one in wheels.split() if one.split("==")[0] in ("onnxruntime", "ai-edge-litert")
    }
    assert len(engines) == 2
    assert engines <= pinned


def test_every_core_has_a_view():
    made = re.findall(r'make_core "\$1/(\w+)"', INSTALL.read_text("utf-8"))
    assert made == list(CORES)


def test_install_refuses_a_folder_with_something_else_in_it(tmp_path):
    (tmp_path / "mine").write_text("keep")
    done = subprocess.run(
        [str(INSTALL), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "installation failed: expected" in done.stderr
    assert (tmp_path / "mine").read_text() == "keep"


def test_install_explains_itself():
    done = subprocess.run([str(INSTALL), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Everything comes from Debian and PyPI" in done.stdout
