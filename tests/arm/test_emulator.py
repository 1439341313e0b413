"""Counts that repeat to the instruction, and outputs that agree with those of x86."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn_mobile import load_manifest
from benchmarks.arm.command import make_input
from benchmarks.arm.emulator import CORES
from benchmarks.arm.kernels import instructions_by_function, kernel_kind
from benchmarks.arm.labels import STAGES
from benchmarks.arm.measure import RUNS, count_frame, count_inference, read_frames
from benchmarks.errors import BenchmarkError
from benchmarks.read_model import read_network

ROOT = Path(__file__).parents[2]
GUEST = ROOT / "benchmarks" / "arm" / "guest.py"
CROPS = ROOT / "converters" / "data" / "parity_crops.npz"
EVERY = 32  # crops: two of 64, a photograph and another
INSTRUCTIONS = Path(__file__).parent / "instructions.json"

# Largest difference of landmarks (crop units), pose (radians) and presence. float32 and LiteRT's
# int8: the same sums, the float parts in another order; 1e-6 was seen. ONNX Runtime's int8: its
# kernels for x86 and for ARM round differently, a step of an activation apart; 4e-3 was seen.
TOLERANCES = {
    ("onnx", "float32"): 1e-4,
    ("onnx", "int8"): 2e-2,
    ("tflite", "float16"): 1e-4,
    ("tflite", "int8"): 1e-4,
}


def path_of(model: str, runtime: str, precision: str) -> Path:
    manifest = load_manifest()
    return manifest.folder / manifest.artifact(model, runtime, precision).path


def crops(runtime: str) -> np.ndarray:
    """(N, ...) float32 in the engine's layout, RGB."""
    pack = np.load(CROPS)
    edges = pack["offset"]
    pictures = [
        cv2.imdecode(pack["jpeg"][start:end], cv2.IMREAD_COLOR)[:, :, ::-1]
        for start, end in zip(edges[:-1:EVERY], edges[1::EVERY], strict=False)
    ]
    stacked = np.stack(pictures).astype(np.float32)
    return stacked if runtime == "tflite" else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def outputs_here(path: Path, runtime: str, inputs: np.ndarray, folder: Path) -> np.ndarray:
    """What the engine gives on this machine, in the drivers' order."""
    if runtime == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        values = [session.run(None, {name: one[np.newaxis]}) for one in inputs]
        return np.stack([np.concatenate([part.ravel() for part in one]) for one in values])
    pytest.importorskip("ai_edge_litert")
    source, target = folder / "in", folder / "out"
    inputs.tofile(source)
    # The very same driver: its marks are system calls that do not exist here either.
    subprocess.run(
        [sys.executable, str(GUEST), "tflite", str(path), str(source), str(target), "0"],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return np.fromfile(target, np.float32).reshape(len(inputs), -1)


@pytest.mark.parametrize(("runtime", "precision"), TOLERANCES)
@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_outputs_agree_with_x86(emulator, core, runtime, precision, tmp_path):
    path = path_of("atpn", runtime, precision)
    inputs = crops(runtime)
    expected = outputs_here(path, runtime, inputs, tmp_path)
    found = count_inference(emulator, core, path, runtime, inputs, runs=1).outputs
    assert found.shape == expected.shape == (len(inputs), 98 * 2 + 3 + 1)
    assert expected.std(axis=0).max() > 0.05  # the crops differ: constants would agree too
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=TOLERANCES[runtime, precision])


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_counts_repeat_to_the_instruction(emulator, runtime):
    path = path_of("detector", runtime, "int8")
    given = make_input(read_network(path))
    first, second = (
        count_inference(emulator, CORES["a55"], path, runtime, given).counts for _ in range(2)
    )
    assert first == second
    assert first.total > 1_000_000


def test_cores_choose_their_kernels(emulator):
    """Dot products on the cores that have them, and only there."""
    path = path_of("detector", "tflite", "int8")
    given = make_input(read_network(path))
    counts = {
        name: count_inference(emulator, core, path, "tflite", given).counts
        for name, core in CORES.items()
    }
    assert counts["a53"].by_class["dot"] == 0
    assert counts["a55"].by_class["dot"] > 100_000
    assert counts["a76"].by_class["dot"] > 100_000
    assert counts["a55"] != counts["a76"]  # other tiles: the part number is read
    assert all(one.by_class["sve"] == 0 for one in counts.values())


def test_blocks_add_up_and_have_names(emulator):
    path = path_of("detector", "tflite", "int8")
    given = make_input(read_network(path))
    found = count_inference(emulator, CORES["a55"], path, "tflite", given, with_blocks=True)
    by_function = instructions_by_function(emulator, found.blocks, found.libraries)
    assert sum(by_function.values()) == pytest.approx(RUNS * found.counts.total, rel=0.01)
    named = sum(count for name, count in by_function.items() if kernel_kind(name) != "other")
    assert named > 0.9 * sum(by_function.values())


def test_a_tracked_frame(emulator):
    frames = read_frames(count=5)
    first, second = (
        count_frame(emulator, CORES["a55"], "tflite", "int8", frames) for _ in range(2)
    )
    assert first.stages == second.stages
    assert set(first.stages) == set(STAGES.values())
    assert all(counts.total > 1_000 for counts in first.stages.values())
    total = sum(counts.total for counts in first.stages.values())
    assert total - first.stages["network"].total < 0.1 * total
    assert first.landmarks.shape == (2, 98, 2)


def test_the_assembler_gives_the_words_of_the_table(emulator, tmp_path):
    rows = json.loads(INSTRUCTIONS.read_text("utf-8"))
    source, compiled, words = tmp_path / "a.s", tmp_path / "a.o", tmp_path / "a.bin"
    lines = [".arch armv8.6-a+sve+crypto", *(row["assembly"] for row in rows), ""]
    source.write_text("\n".join(lines))
    assemble = emulator.host_command("aarch64-linux-gnu-as", "-o", str(compiled), str(source))
    subprocess.run(assemble, check=True)
    extract = emulator.host_command(
        "aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(compiled), str(words)
    )
    subprocess.run(extract, check=True)
    found = [f"{word:08x}" for word in np.fromfile(words, "<u4")]
    assert found == [row["word"] for row in rows]


def test_a_program_that_fails_says_why(emulator, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(BenchmarkError, match="onnx_driver"):
        count_inference(
            emulator, CORES["a55"], tmp_path / "broken.onnx", "onnx", np.zeros((1, 3), np.float32)
        )
