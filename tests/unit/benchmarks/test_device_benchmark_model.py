"""What TFLite's benchmark_model writes, old and new, on the CPU and with delegates."""

import pytest

from benchmarks.device.benchmark_model import actual_accelerator, parse_output
from benchmarks.errors import BenchmarkError

# In the format of TensorFlow 2.16.
NEW = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [50]
INFO: Num threads: [1]
INFO: Graph: [/data/local/tmp/atpn/model.tflite]
INFO: #threads used for CPU inference: [1]
INFO: Loaded model /data/local/tmp/atpn/model.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 212 out of 212 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for subgraph 0.
INFO: The input model file size (MB): 1.95459
INFO: Initialized session in 12.345ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=80 first=9876 curr=6100 min=6050 max=9876 avg=6200.5 std=420 p5=6060 median=6105 \
p95=6400

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=163 first=6110 curr=6095 min=6040 max=7012 avg=6123.25 std=88 p5=6052 median=6101 \
p95=6300

INFO: Inference timings in us: Init: 12345, First inference: 9876, Warmup (avg): 6200.5, \
Inference (avg): 6123.25
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime.
INFO: Memory footprint delta from the start of the tool (MB): init=5.25 overall=9.5
"""

# In the format of TensorFlow 2.4, from logcat: no percentiles, no memory.
OLD = """\
05-30 15:16:44.857  3380  3380 I tflite  : Loaded model /data/local/tmp/model.tflite
05-30 15:16:44.857  3380  3380 I tflite  : count=4 first=30000 curr=12594 min=11340 max=32942 \
avg=12581.9 std=3331
05-30 15:16:46.365  3380  3380 I tflite  : count=50 first=12840 curr=11853 min=11787 max=13649 \
avg=12167.6 std=325
05-30 15:16:46.366  3380  3380 I tflite  : Inference timings in us: Init: 1.26059e+06, \
First inference: 32942, Warmup (avg): 12581.9, Inference (avg): 12167.6
"""

GPU_PART = """\
INFO: Created TensorFlow Lite delegate for GPU.
ERROR: Following operations are not supported by GPU delegate:
QUANTIZE: Operation is not supported.
60 operations will run on the GPU, and the remaining 4 operations will run on the CPU.
VERBOSE: Replacing 60 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 2 \
partitions for subgraph 0.
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the \
delegate w/ 1 delegate kernels.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 4 out of 5 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 \
partitions for subgraph 0.
"""

GPU_UNDONE = """\
VERBOSE: Replacing 2 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.
ERROR: TfLiteGpuDelegate Init: FULLY_CONNECTED: Amount of input data should match weights width
INFO: Created 0 GPU delegate kernels.
ERROR: Node number 2 (TfLiteGpuDelegateV2) failed to prepare.
ERROR: Restored original execution plan after delegate application failure.
VERBOSE: Replacing 2 out of 2 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for the whole graph.
"""


def test_a_new_program() -> None:
    found = parse_output(NEW)
    assert found.iterations == 163  # of the timed runs, not of the warm-up
    assert (found.mean_ms, found.median_ms) == (6.12325, 6.101)
    assert (found.min_ms, found.max_ms, found.std_ms) == (6.04, 7.012, 0.088)
    assert (found.p5_ms, found.p95_ms) == (6.052, 6.3)
    assert (found.load_ms, found.first_ms) == (12.345, 9.876)
    assert (found.init_mib, found.overall_mib) == (5.25, 9.5)
    assert found.accelerator == "cpu (XNNPACK): 212 of 212 nodes"


def test_an_old_program_tells_less() -> None:
    found = parse_output(OLD)
    assert (found.iterations, found.mean_ms, found.min_ms) == (50, 12.1676, 11.787)
    assert found.load_ms == pytest.approx(1260.59)
    assert (found.median_ms, found.p5_ms, found.p95_ms) == (None, None, None)
    assert (found.init_mib, found.overall_mib) == (None, None)


def test_times_that_are_all_the_same() -> None:
    text = "count=0\ncount=7 curr=1200(all same)\n" + OLD.splitlines()[-1]
    found = parse_output(text)
    assert (found.iterations, found.min_ms, found.max_ms, found.median_ms) == (7, 1.2, 1.2, 1.2)
    assert found.std_ms == 0.0


def test_what_comes_after_the_times_is_not_taken_for_them() -> None:
    profile = "Timings (microseconds): count=163 first=1 curr=1 min=1 max=2 avg=1 std=1\n"
    assert parse_output(NEW + profile) == parse_output(NEW)


@pytest.mark.parametrize(
    ("text", "requested", "actual"),
    [
        (GPU_PART, "gpu", "gpu: 60 of 64 nodes; cpu (XNNPACK): 4 of 5 nodes"),
        (GPU_UNDONE, "gpu", "cpu (XNNPACK): 2 of 2 nodes"),
        # older programs do not count the nodes
        (
            (
                "Explicitly applied GPU delegate, and the model graph will be completely executed "
                "by the delegate."
            ),
            "gpu",
            "gpu: completely",
        ),
        (
            (
                "Though NNAPI delegate is explicitly applied, the model graph will not be executed "
                "by the delegate."
            ),
            "nnapi",
            "cpu",
        ),
        ("", "cpu", "cpu"),
        ("", "gpu", "unknown"),
    ],
)
def test_what_really_ran(text: str, requested: str, actual: str) -> None:
    assert actual_accelerator(text, requested) == actual


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ERROR: Failed to mmap model /data/local/tmp/model.tflite\nERROR: Benchmarking failed.",
        NEW[: NEW.index("INFO: Inference timings")],  # interrupted
    ],
)
def test_a_program_that_did_not_come_to_its_end(text: str) -> None:
    last = text.strip().splitlines()[-1] if text else "nothing"
    with pytest.raises(BenchmarkError, match="expected the times of benchmark_model") as raised:
        parse_output(text)
    assert str(raised.value).endswith(last)
