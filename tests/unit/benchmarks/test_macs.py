"""Counts of the shipped files, held to the manifest and to the committed results."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import onnx
import pytest
from onnx.helper import make_node

from atpn_mobile import load_manifest
from benchmarks import macs
from benchmarks.compare import compare_records, describe
from benchmarks.errors import BenchmarkError
from benchmarks.layers import Layer
from benchmarks.read_model import read_network
from benchmarks.record import RESULTS, Record, read_record
from tests.unit.benchmarks.builders import chain, onnx_file, zeros

MANIFEST = load_manifest()
FILES = [
    (model, artifact)
    for model in MANIFEST.models
    for artifact in model.artifacts
    if artifact.runtime in macs.RUNTIMES
]


@pytest.fixture(scope="module")
def ours() -> Record:
    return macs.count_ours()


@pytest.mark.parametrize(("model", "artifact"), FILES, ids=[artifact.path for _, artifact in FILES])
def test_every_file_has_the_macs_of_the_manifest(model, artifact):
    network = read_network(MANIFEST.folder / artifact.path)

    assert network.macs == model.macs
    assert network.file_bytes == artifact.size_bytes
    assert set(network.outputs) == {output.name for output in model.outputs}


@pytest.mark.parametrize("model", MANIFEST.models, ids=[model.name for model in MANIFEST.models])
def test_the_parameters_missing_in_the_file_are_scales_of_folded_batch_normalisations(model):
    # The export names the bias of a folded batch normalisation after the weights. Training has a
    # scale and a shift for each of its numbers.
    path = MANIFEST.folder / MANIFEST.artifact(model.name, "onnx", "float32").path
    stored = onnx.load(path).graph.initializer
    folded = sum(one.dims[0] for one in stored if one.name.endswith(".weight_bias"))

    assert read_network(path).parameters + folded == model.parameters


def test_all_files_of_a_model_have_the_same_parameters(ours):
    counts = {(row["parameters"], row["macs"]) for row in ours.tables["files"].rows}

    assert len(counts) == len(MANIFEST.models)


@pytest.mark.parametrize("name", ["macs", "macs_layers"])
def test_the_counts_are_those_of_the_committed_results(name, ours):
    # After a change that is meant, write them again as docs/benchmarks.md says.
    committed = read_record(RESULTS / f"{name}.json")
    layers = macs.count_files([MANIFEST.folder / macs.COMPARED_FILE], "layer")

    changes = compare_records(committed, ours if name == "macs" else layers, {})

    assert not changes, f"\n{describe(changes)}"


def test_tables_add_up(ours):
    for row in ours.tables["files"].rows:
        for table in ("branches", "kinds"):
            parts = [one for one in ours.tables[table].rows if one["file"] == row["file"]]
            for column in ("parameters", "macs", "weight_bytes"):
                assert sum(part[column] for part in parts) == row[column]
        assert row["live_bytes"] <= row["arena_bytes"] <= row["unshared_bytes"]


def test_the_branches_of_atpn_stand_beside_the_paper(ours):
    published = {row["part"]: row for row in ours.tables["published"].rows}
    branches = {
        row["branch"]: row
        for row in ours.tables["branches"].rows
        if row["file"] == macs.COMPARED_FILE
    }

    shared = branches["landmarks+pose+presence"]
    assert shared["modules"] == "backbone, alignment"
    assert published["backbone and alignment, 112x112"]["counted_macs"] == shared["macs"]
    assert published["tracking branch (presence)"]["counted_macs"] == branches["presence"]["macs"]


def test_rows_of_a_small_network_by_hand():
    network = chain([10, 30, 20])
    first = replace(
        network.layers[0], name="stem.conv", kind="conv", macs=200, parameters=7, weight_bytes=60
    )
    network = replace(network, layers=(first, network.layers[1]), file_bytes=99)

    (row,) = macs.file_rows("f", network)
    assert row == {
        "file": "f",
        "parameters": 7,
        "macs": 200,
        "weight_bytes": 60,
        "file_bytes": 99,
        "live_bytes": 50,
        "arena_bytes": 50,
        "unshared_bytes": 60,
        "macs_per_byte": round(200 / (60 + 40 + 50), 3),
        "peak_layer": "layer1",
    }
    (branch,) = macs.branch_rows("f", network)
    assert (branch["branch"], branch["modules"], branch["activation_bytes"]) == ("t2", "stem", 90)
    assert [one["kind"] for one in macs.kind_rows("f", network)] == ["conv", "other"]
    assert [one["macs_per_byte"] for one in macs.layer_rows("f", network)] == [2.0, 0.0]


def test_views_have_no_rows():
    network = chain([8, 8])
    network = replace(
        network, tensors={**network.tensors, "t1": replace(network.tensors["t1"], storage="t0")}
    )

    assert list(macs.layer_rows("f", network)) == []
    assert list(macs.branch_rows("f", network)) == []


def test_a_network_of_no_layers_is_counted():
    (row,) = macs.file_rows("f", chain([8]))

    assert (row["macs"], row["arena_bytes"], row["peak_layer"]) == (0, 0, "")


@pytest.fixture
def two_heads(tmp_path) -> Path:
    nodes = [
        make_node("MatMul", ["x", "trunk.weight"], ["t"]),
        make_node("MatMul", ["t", "left.weight"], ["a"]),
        make_node("Tanh", ["t"], ["b"]),
    ]
    weights = {"trunk.weight": zeros(4, 8), "left.weight": zeros(8, 2)}
    path = tmp_path / "two.onnx"
    path.write_bytes(onnx_file(nodes, {"x": ["batch", 4]}, ["a", "b"], weights))
    return path


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    macs.add_arguments(parser)
    return macs.run(parser.parse_args([str(one) for one in arguments]))


def test_anybodys_file_as_a_table(two_heads, capsys):
    assert run(two_heads, "--by", "branch") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["two.onnx", "48", "48", "192"] in [line[:4] for line in lines]
    assert ["shared", "-", "1", "32", "32"] in [line[:5] for line in lines]


def test_only_the_rows_of_most_macs_are_printed(two_heads, capsys):
    run(two_heads, "--by", "layer", "--top", 1)

    text = capsys.readouterr().out
    assert "\ntrunk " in text
    assert "\nleft " not in text


def test_json_goes_to_the_output_or_to_a_file(two_heads, capsys, tmp_path):
    run(two_heads, "--json", "-")
    printed = json.loads(capsys.readouterr().out)
    run(two_heads, "--json", tmp_path / "out.json")

    assert printed == json.loads((tmp_path / "out.json").read_text())
    assert "layers" not in printed["tables"]


def test_files_of_one_name_go_by_their_paths(two_heads, tmp_path):
    other = tmp_path / "other" / two_heads.name
    other.parent.mkdir()
    other.write_bytes(two_heads.read_bytes())

    rows = macs.count_files([two_heads, other]).tables["files"].rows
    assert [row["file"] for row in rows] == [str(two_heads), str(other)]
    with pytest.raises(BenchmarkError, match="each file once"):
        macs.count_files([two_heads, two_heads])


def test_the_picture_is_as_wide_as_a_page(two_heads, tmp_path):
    run(two_heads, "--picture", tmp_path / "layers.png")

    picture = cv2.imread(str(tmp_path / "layers.png"))
    assert picture is not None
    assert picture.shape[1] == 1200
    blue = (178, 114, 0)  # of no layer here: there is no pointwise convolution
    pink = (167, 121, 204)  # linear layers, BGR
    assert not (picture == blue).all(axis=2).any()
    assert (picture == pink).all(axis=2).sum() > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--picture", "a.png"], "one FILE to draw, got 0"),
        (["a.onnx", "--top", "0"], "--top of 1 or more, got 0"),
        (["missing.onnx"], "missing.onnx"),
    ],
)
def test_wrong_options_say_what_was_expected(arguments, message):
    with pytest.raises(BenchmarkError, match=message):
        run(*arguments)


def test_nothing_to_draw_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(BenchmarkError, match="expected layers to draw"):
        macs.draw_layers([], "nothing", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_layers_that_nothing_needs_have_no_branch():
    network = chain([8, 8])
    dead = Layer("dead", "Relu", "other", ("t0",), ("u",))
    network = replace(
        network,
        layers=(*network.layers, dead),
        tensors={**network.tensors, "u": replace(network.tensors["t1"], storage="u")},
    )

    assert [row["branch"] for row in macs.layer_rows("f", network)] == ["t1", ""]
