"""``estimate``: its lines, their sums, and what stands beside them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import cli, estimate
from benchmarks.errors import BenchmarkError
from benchmarks.estimate_published import CORES, NETWORKS, XNNPACK_MS, find_core
from benchmarks.layers import Layer, Network, Tensor
from benchmarks.record import Conditions, Record, Table, read_record, write_record
from benchmarks.yardsticks import make_yardstick, yardstick_names

A53 = find_core("A53-1.4")
A76 = find_core("A76-2.4")


def in_int8(network: Network) -> Network:
    tensors = {name: replace(one, itemsize=1) for name, one in network.tensors.items()}
    return replace(network, tensors=tensors)


@pytest.fixture(scope="module")
def v2() -> Network:
    return make_yardstick("mobilenet_v2").network()


def arm_record(column, rows) -> Record:
    key = (column, "runtime", "precision", "core")
    parts = [{**row, "kernel": "gemm", "instructions": 7} for row in rows]
    tables = {"networks": Table(key, tuple(rows)), "kernels": Table((*key, "kernel"), tuple(parts))}
    return Record("arm", "", "", Conditions("", False, ""), tables)


def test_published_numbers_are_of_networks_that_are_written_down():
    assert set(NETWORKS) | set(XNNPACK_MS) <= set(yardstick_names())
    assert len({core.name for core in CORES}) == len(CORES)
    for core in CORES:
        assert len(core.times_ms) == len(NETWORKS)
        assert all(
            fast < slow for fast, slow in zip(core.times_ms, core.times_ms[1:], strict=False)
        )


def test_cores_of_the_goals_are_listed_by_default():
    listed = [core.name for core in CORES if core.listed]

    assert listed == ["A53-1.4", "A55-1.8", "A72-1.8", "A76-2.4", "A76-2.96", "X3-3.2", "M1"]


def test_an_unknown_core_is_refused():
    with pytest.raises(BenchmarkError, match=r"expected a core out of .*, got 'A5'"):
        find_core("A5")


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_estimates_of_what_was_fitted_are_near_the_published_numbers(core):
    inside = []
    for name, published in zip(NETWORKS, core.times_ms, strict=True):
        found = estimate.estimate_network(make_yardstick(name).network(), core)
        inside.append(found.low_ms < published < found.high_ms)

    assert sum(inside) >= len(NETWORKS) - 1


def test_int8_takes_the_published_ratio_and_a_wider_range(v2):
    floats = estimate.estimate_network(v2, A76)
    integers = estimate.estimate_network(in_int8(v2), A76)

    assert A76.int8_ratio == pytest.approx(14.4 / 20.2)
    assert integers.ms / floats.ms == pytest.approx(14.4 / 20.2)
    assert integers.high_ms / integers.ms > floats.high_ms / floats.ms


def test_float_layers_of_an_int8_file_take_their_time_in_float(v2):
    gate = v2.layers[0].inputs[0]
    mixed = in_int8(v2)
    mixed = replace(mixed, tensors={**mixed.tensors, gate: v2.tensors[gate]})

    floats = estimate.layer_times(v2, A76)
    found = estimate.layer_times(mixed, A76)

    assert found[0] == pytest.approx(floats[0])
    np.testing.assert_allclose(found[1:], floats[1:] * A76.int8_ratio)


def test_times_of_layers_add_up_to_the_estimate(v2):
    assert estimate.layer_times(v2, A53).sum() == pytest.approx(
        estimate.estimate_network(v2, A53).ms
    )


def test_the_least_time_is_that_of_full_vector_units():
    layer = Layer("c", "Conv", "conv", ("x",), ("y",), macs=28_000_000)
    tensors = {name: Tensor((1, 2, 2, 2), 4, name) for name in "xy"}
    network = Network("one", "onnx", ("x",), ("y",), (layer,), tensors, 0)

    # A53: one unit of four float32 at 1.4 GHz; A76: two of eight float16 at 2.4 GHz
    assert estimate.least_ms(network, A53) == pytest.approx(28 / 4 / 1.4)
    assert estimate.least_ms(network, A76) == pytest.approx(28 / 16 / 2.4)
    # int8: SMLAL takes eight, SDOT sixteen
    assert estimate.least_ms(in_int8(network), A53) == pytest.approx(28 / 8 / 1.4)
    assert estimate.least_ms(in_int8(network), A76) == pytest.approx(28 / 32 / 2.4)


@pytest.mark.parametrize("column", ["network", "file"])
def test_instructions_give_a_time_of_their_own(tmp_path, v2, column):
    def row(network, precision, count):
        name = network if column == "network" else f"{network}_{precision}.onnx"
        place = {"runtime": "onnx", "precision": precision, "core": "Cortex-A76"}
        return {column: name, **place, "instructions": count}

    rows = [
        row("mobilenet_v2", "float32", 200),
        row("face", "float32", 50),
        row("mobilenet_v2", "int8", 80),
        row("face", "int8", 40),
    ]
    write_record(arm_record(column, rows), tmp_path / "arm.json")
    counts = estimate.read_instructions(tmp_path / "arm.json")

    # ncnn's MobileNetV2 takes 16.2 ms there; int8 takes 14.4 / 20.2 of it
    floats = estimate.instructions_ms("face_float32.onnx", v2, A76, counts)
    integers = estimate.instructions_ms("face_int8.onnx", in_int8(v2), A76, counts)
    assert floats == pytest.approx(16.2 / 4)
    assert integers == pytest.approx(16.2 * 14.4 / 20.2 / 2)
    assert estimate.instructions_ms("face_float32.onnx", v2, A53, counts) is None
    assert estimate.instructions_ms("other_float32.onnx", v2, A76, counts) is None


def test_no_counts_of_instructions_are_no_error(tmp_path):
    assert estimate.read_instructions(tmp_path / "arm.json") == {}


@pytest.mark.parametrize("by", ["branch", "kind"])
def test_parts_add_up(by):
    network = make_yardstick("blazeface").network()

    rows = list(estimate.part_rows("blazeface", network, A53, by))

    assert len({row[by] for row in rows}) == len(rows) > 3
    assert sum(row["macs"] for row in rows) == network.macs
    assert sum(row["share_percent"] for row in rows) == pytest.approx(100.0, abs=0.5)
    assert sum(row["estimated_ms"] for row in rows) == pytest.approx(
        estimate.estimate_network(network, A53).ms, abs=0.01
    )


def test_command_marks_every_line_and_prints_the_numbers_held_out(tmp_path, capsys):
    path = tmp_path / "estimate.json"
    arguments = ["estimate", "--core", "A53-1.4", "--core", "M1", "--by", "branch"]

    assert cli.run_commands({"estimate": estimate}, [*arguments, "--json", str(path)]) == 0

    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if line.startswith(("atpn_", "detector_"))]
    assert lines
    assert all(line.endswith(estimate.STATUS) for line in lines)
    assert "held out" in text
    record = read_record(path)
    assert {row["core"] for row in record.tables["estimates"].rows} == {"A53-1.4", "M1"}
    held_out = [
        row for row in record.tables["left_out"].rows if row["network"] == estimate.HELD_OUT
    ]
    assert [row["core"] for row in held_out] == ["A53-1.4", "M1"]
    for row in record.tables["estimates"].rows:
        assert row["at_least_ms"] < row["low_ms"] < row["estimated_ms"] < row["high_ms"]
        assert row["status"] == estimate.STATUS


def test_json_alone_goes_to_the_output(capsys):
    folder = estimate.our_files()[0].parent
    arguments = ["estimate", str(folder / "detector_int8.onnx"), "--core", "A55-1.8"]

    assert cli.run_commands({"estimate": estimate}, [*arguments, "--json", "-"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "estimate"
    (row,) = document["tables"]["estimates"]["rows"]
    assert (row["file"], row["arithmetic"]) == ("detector_int8.onnx", "int8")


def test_a_file_that_is_no_model_is_an_error(tmp_path, capsys):
    file = tmp_path / "text.onnx"
    file.write_text("hello")

    assert cli.run_commands({"estimate": estimate}, ["estimate", str(file)]) == cli.EXIT_FAILED
    assert str(file) in capsys.readouterr().err
