"""``latency``: what is recorded, with engines and clocks that are not timed here."""

import argparse
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from atpn_mobile import StageTimings, load_manifest
from atpn_mobile.video import SourceFrame
from benchmarks import cli, latency, latency_cold, latency_loop
from benchmarks.errors import BenchmarkError
from benchmarks.latency import Options, file_rows, hot_rows, settings_of, thread_counts
from benchmarks.latency_cold import ColdStart, median_start, memory_mib, start_cold
from benchmarks.latency_engines import Subject, example_input, load_subject, runtime_of
from benchmarks.latency_loop import LoopFrame, stage_statistics, track_clip
from benchmarks.record import read_record
from tests.unit.benchmarks.builders import onnx_file

CLIP = Path(__file__).parents[3] / "assets" / "clips" / "synthetic_solo.mp4"
MODELS = load_manifest().folder


def subject(file: str, precision: str = "int8") -> Subject:
    return Subject(file, "onnx", "engine 1.0", precision, "engine", "cpu", f"sha of {file}", str)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    contents = onnx_file([make_node("Relu", ["x"], ["y"])], {"x": [None, 3, 4, 4]}, ["y"])
    model = onnx.load_from_string(contents)
    model.ir_version = 8  # which every ONNX Runtime reads
    path.write_bytes(model.SerializeToString())
    return path


def fake_times(runs, iterations, warm_up):
    times = {"one.onnx": [2.0, 4.0, 6.0], "two.onnx": [1.0, 1.0, 1.0], latency.YARDSTICK: [8.0] * 3}
    return {name: times[name] for name in runs}


def test_rows_say_what_ran_and_how_it_stands_to_the_yardstick():
    subjects = [subject("one.onnx"), subject("two.onnx", "")]

    one, two = hot_rows(subjects, subject("v3"), 2, Options(warm_up=7), fake_times)

    assert (one["median_ms"], one["p10_ms"], one["p90_ms"]) == (4.0, 2.4, 5.6)
    assert one["yardstick_ms"] == 8.0
    assert (one["ratio"], one["quiet_ratio"]) == (0.5, 0.3)
    assert (one["file"], one["precision"], one["threads"]) == ("one.onnx", "int8", 2)
    assert one["status"] == two["status"] == "host, not a phone"
    assert (two["ratio"], two["precision"]) == (0.125, "")


def test_without_a_yardstick_there_are_no_ratios():
    (row,) = hot_rows([subject("one.onnx")], None, 1, Options(), fake_times)

    assert row["median_ms"] == 4.0
    assert row["ratio"] is row["quiet_ratio"] is row["yardstick_ms"] is None


def test_files_are_recorded_with_their_hash_engine_and_accelerator():
    (row,) = file_rows([subject("one.onnx")])

    assert row["sha256"] == "sha of one.onnx"
    assert (row["engine"], row["through"]) == ("engine 1.0", "engine")
    assert (row["requested_accelerator"], row["actual_accelerator"]) == ("cpu", "cpu")


@pytest.mark.parametrize(("text", "wanted"), [("1", (1,)), ("4,2,4", (4, 2))])
def test_thread_counts(text, wanted):
    assert thread_counts(text) == wanted


@pytest.mark.parametrize("text", ["0", "", "1,", "-1", "two", "1.5", "²"])
def test_thread_counts_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        thread_counts(text)


def test_settings_are_those_that_were_asked_for():
    found = settings_of(Options((1, 2), 30, 4, Path("folder/clip.mp4")))

    assert found["threads"] == "1,2"
    assert (found["iterations"], found["warm_up"], found["loop"]) == (30, 4, "clip.mp4")
    assert (found["accelerator"], found["yardstick"]) == ("cpu", "mobilenet_v3_small float32")
    assert isinstance(found["load_average"], float)


def test_a_file_of_the_manifest_runs_through_the_package():
    found = load_subject(MODELS / "detector_int8.tflite", 1)

    assert (found.through, found.precision) == ("atpn_mobile", "int8")
    assert found.runtime == "tflite"
    assert found.engine.startswith("ai-edge-litert ")
    spec = load_manifest().model("detector")
    assert set(found.run()) == {output.name for output in spec.outputs}


def test_another_file_runs_on_the_engine_itself(tiny):
    found = load_subject(tiny, 1, "float32")

    (result,) = found.run()
    assert (found.through, found.precision, found.runtime) == ("engine", "float32", "onnx")
    assert result.shape == (1, 3, 4, 4)  # the open size is 1
    assert result.max() > 0.0


@pytest.mark.parametrize("contents", [b"hello", b"\x00\x00\x00\x00TFL3 hello"])
def test_a_file_that_is_no_model_is_an_error(tmp_path, contents):
    path = tmp_path / "broken"
    path.write_bytes(contents)

    with pytest.raises(BenchmarkError, match="cannot be loaded"):
        load_subject(path, 1)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(BenchmarkError, match="cannot be read"):
        load_subject(tmp_path / "none.onnx", 1)


def test_formats_are_told_apart_by_contents():
    assert runtime_of(b"\x1c\x00\x00\x00TFL3....") == "tflite"
    assert runtime_of(b"TFL3") == "onnx"


def test_inputs_are_noise_or_zeros():
    noise = example_input(["batch", 3, None, -1], "float32")
    zeros = example_input([np.int32(1), 2], "uint8")

    assert noise.shape == (1, 3, 1, 1)
    assert ((noise > 0.0) & (noise < 1.0)).all()
    assert (zeros.shape, zeros.dtype, zeros.any()) == ((1, 2), np.uint8, False)
    with pytest.raises(BenchmarkError, match="expected an input of numbers, got tensor"):
        example_input([1], "tensor(string)")


def test_stages_are_those_of_frames_in_which_a_face_is_followed():
    frames = [
        LoopFrame(9.0, StageTimings(50.0, 9.0, 9.0, 9.0), detector_ran=True, faces=1),
        LoopFrame(1.0, StageTimings(0.0, 2.0, 3.0, 4.0), detector_ran=False, faces=1),
        LoopFrame(2.0, StageTimings(0.0, 4.0, 5.0, 6.0), detector_ran=False, faces=1),
        LoopFrame(9.0, StageTimings(70.0, 9.0, 9.0, 9.0), detector_ran=True, faces=0),
    ]

    found = {stage: one.median_ms for stage, one in stage_statistics(frames).items()}

    assert found == {
        "decode": 1.5,
        "crop": 3.0,
        "network": 4.0,
        "tracker": 5.0,
        "loop": 13.5,
        "detector": 60.0,
    }
    assert stage_statistics(frames[:1]).keys() == {"detector"}
    assert stage_statistics([]) == {}


def test_a_clip_is_tracked_frame_by_frame(monkeypatch):
    class Short:
        """The first frames of a video."""

        def __init__(self, clip):
            self.source = opened(clip)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.source.close()

        def __iter__(self):
            for _, frame in zip(range(4), self.source, strict=False):
                assert isinstance(frame, SourceFrame)
                yield frame

    opened = latency_loop.open_source
    monkeypatch.setattr(latency_loop, "open_source", Short)
    seconds = iter(range(100))

    frames = track_clip(CLIP, "onnx", "float32", 1, lambda: float(next(seconds)))

    assert [one.detector_ran for one in frames] == [True, False, False, False]
    assert [one.faces for one in frames] == [1, 1, 1, 1]
    assert [one.decode_ms for one in frames] == [1000.0] * 4  # a tick of the clock
    assert all(one.timings.network_ms > 0.0 for one in frames)


def test_a_clip_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(BenchmarkError, match="found no"):
        track_clip(tmp_path / "none.mp4", "onnx", "float32", 1)


def test_medians_of_starts_are_taken_number_by_number():
    starts = [
        ColdStart(1.0, 30.0, 5.0, 10.0, None, 0.0),
        ColdStart(3.0, 10.0, 6.0, 30.0, 7.0, 2.0),
        ColdStart(2.0, 20.0, 4.0, 20.0, 8.0, 1.0),
    ]

    assert median_start(starts) == ColdStart(2.0, 20.0, 5.0, 20.0, None, 1.0)


def test_a_fresh_process_reports_its_own_times_and_memory(tiny):
    found = start_cold(tiny, "onnx", 1, runs=3)

    assert found.import_ms > 0.0
    assert found.load_ms > 0.0
    assert found.first_ms > 0.0
    if memory_mib("VmRSS") is not None:
        assert 10.0 < found.imported_mib <= found.peak_mib


def test_a_fresh_process_that_fails_says_why(tmp_path):
    with pytest.raises(BenchmarkError, match=r"none\.onnx.*cannot be read"):
        start_cold(tmp_path / "none.onnx", "onnx", 1)


def test_memory_that_the_system_does_not_tell_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(latency_cold, "_STATUS", tmp_path / "status")
    assert memory_mib("VmRSS") is None
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t  2048 kB\n")
    assert memory_mib("VmRSS") == 2.0
    assert memory_mib("VmHWM") is None


def test_command_writes_a_record(tiny, tmp_path, monkeypatch, capsys):
    def no_tool(*_):
        raise BenchmarkError("expected tensorflow to write yardsticks")

    monkeypatch.setattr(latency, "write_yardsticks", no_tool)
    path = tmp_path / "latency.json"
    arguments = ["latency", str(tiny), "--iterations", "3", "--no-cold", "--threads", "1,2"]

    assert cli.run_commands({"latency": latency}, [*arguments, "--json", str(path)]) == 0

    output = capsys.readouterr()
    record = read_record(path)
    assert "no yardstick for onnx" in output.err
    assert output.out.count("tiny.onnx") == 3  # two lines of times, one of what was run
    assert output.out.count("host, not a phone") == 3  # the head and each line
    assert [row["threads"] for row in record.tables["hot"].rows] == [1, 2]
    assert record.conditions.settings["iterations"] == 3
    assert "onnxruntime" in record.conditions.packages
    assert "cold" not in record.tables


def test_numbers_of_runs_that_make_no_sense_are_refused(tiny, capsys):
    arguments = ["latency", str(tiny), "--iterations", "0"]

    assert cli.run_commands({"latency": latency}, arguments) == cli.EXIT_FAILED
    assert "--iterations above 0" in capsys.readouterr().err
