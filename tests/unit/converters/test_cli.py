"""``python -m converters``: exit status, table, JSON, and what it leaves behind."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import MappingProxyType

import onnx
import pytest
import torch
from safetensors.torch import load_file

from atpn_mobile.manifest import load_manifest
from converters.accuracy import AlignmentLoss
from converters.cli import main
from converters.errors import ConversionError
from converters.parity import AlignmentParity, DetectionParity
from converters.report import format_loss, format_parity, format_table
from converters.targets import find_target
from tests.unit.converters.conftest import TINY
from tests.unit.converters.fakes import fake_target

ALIGNMENT = AlignmentParity(
    "a with b", 64, 16, "x", 0.00123, 0.0001, 0.1, 0.01, 0.0456, 0.01, 1e-5, 0.0, 99, 1.0, 2.0, 3.0
)
DETECTION = DetectionParity(
    "a with b", 16, 16, "x", 0.00123, 0.0001, 0.001, 0.0, 1e-5, 99, 1.0, 2.0
)
METRIC = {"name": "NME", "value": 1.5, "unit": "%", "data": "faces", "command": "measure"}


@pytest.fixture
def folder(weights_dir: Path, tmp_path: Path, only_tiny: None) -> Path:
    """A folder with the weights of the tiny network, the project's only one."""
    return Path(shutil.copytree(weights_dir, tmp_path / "models"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def export(folder: Path, *arguments: str) -> int:
    command = ["export", "--all", "--to", "onnx", "--precision", "float32", "--out", str(folder)]
    return main([*command, "--weights-dir", str(folder), *arguments])


def verify(folder: Path, *arguments: str) -> int:
    return main(["verify", "--models", str(folder), *arguments])


def test_exports_and_verifies(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "metrics.json").write_text(json.dumps({"atpn": [METRIC]}))
    assert export(folder) == 0
    shown = capsys.readouterr()
    heading, row = shown.out.splitlines()
    assert heading.split() == ["model", "file", "bytes", "parity"]
    assert row.startswith("atpn")
    assert "atpn_float32.onnx" in row
    assert "landmarks" in row
    assert shown.err.splitlines() == [
        "atpn: onnx float32: convert",
        "atpn: onnx float32: compare with the reference",
    ]
    assert load_manifest(folder).model("atpn").metrics[0].value == 1.5

    assert verify(folder, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["status"] == "ok"
    assert result["parity"]["crops"] == 64

    (folder / "atpn_float32.onnx").write_bytes(b"something else")
    assert verify(folder) == 1
    shown = capsys.readouterr()
    assert "broken" in shown.out
    assert "atpn_float32.onnx: expected" in shown.err


def test_one_model_as_json_to_another_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    metrics = tmp_path / "numbers.json"
    metrics.write_text(json.dumps({"atpn": [METRIC]}))
    arguments = ["--model", "atpn", "--to", "onnx", "--precision", "float32", "--json"]
    arguments += ["--weights-dir", str(folder), "--out", str(out), "--metrics", str(metrics)]
    assert main(["export", *arguments]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    artifact = load_manifest(out).artifact("atpn", "onnx", "float32")
    assert row["sha256"] == artifact.sha256
    assert row["bytes"] == artifact.size_bytes == Path(row["file"]).stat().st_size
    assert load_manifest(out).model("atpn").metrics[0].name == "NME"
    assert sorted(contents(out)) == ["atpn_float32.onnx", "manifest.json"]


def test_missing_weights(tmp_path: Path, capsys: pytest.CaptureFixture, only_tiny: None) -> None:
    assert export(tmp_path) == 2
    assert "error: expected weights (.safetensors), found no file" in capsys.readouterr().err
    assert contents(tmp_path) == {}


@pytest.fixture
def with_baseline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny network as the product, and once more as a baseline."""
    baseline = dataclasses.replace(TINY, name="asmnet", is_baseline=True)
    for module in ("models", "verify", "cli"):
        models = MappingProxyType({"atpn": TINY, "asmnet": baseline})
        monkeypatch.setattr(f"converters.{module}.MODELS", models)
    shutil.copy(folder / "atpn.safetensors", folder / "asmnet.safetensors")
    return folder


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--all"], ["atpn"]),
        (["--all", "--baselines"], ["atpn", "asmnet"]),
        (["--model", "asmnet"], ["asmnet"]),
    ],
)
def test_baselines_are_exported_when_they_are_asked_for(
    with_baseline: Path, tmp_path: Path, arguments: list[str], names: list[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["export", *arguments, "--to", "onnx", "--precision", "float32", "--out", str(out)]
    assert main([*arguments, "--weights-dir", str(with_baseline)]) == 0
    assert [model.name for model in load_manifest(out).models] == names
    assert verify(out, "--weights-dir", str(with_baseline)) == 0
    assert verify(out, "--model", "asmnet", "--weights-dir", str(with_baseline)) == 0


def test_baselines_belong_to_all(with_baseline: Path, capsys: pytest.CaptureFixture) -> None:
    for weights in ([], ["--weights", str(with_baseline / "atpn.safetensors")]):
        arguments = ["--model", "asmnet", "--baselines", "--out", str(with_baseline), *weights]
        assert main(["export", *arguments]) == 2
        assert "expected --all with --baselines" in capsys.readouterr().err


def test_missing_metrics(folder: Path, capsys: pytest.CaptureFixture) -> None:
    before = contents(folder)
    assert export(folder, "--metrics", str(folder / "none.json")) == 2
    assert "none.json" in capsys.readouterr().err
    assert contents(folder) == before


def test_a_failed_conversion_leaves_everything_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ConversionError("expected to work")

    (folder / "atpn_float32.onnx").write_bytes(b"there before")
    before = contents(folder)
    monkeypatch.setattr("converters.cli.convert", fail)
    assert export(folder) == 1
    assert capsys.readouterr().err == "error: expected to work\n"
    assert contents(folder) == before


def test_own_weights_as_a_state_dict(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    weights = load_file(folder / "atpn.safetensors")
    torch.save({"state_dict": weights}, tmp_path / "own.pt")
    (folder / "metrics.json").write_text(json.dumps({"atpn": [METRIC]}))
    out = tmp_path / "out"
    arguments = ["--weights", str(tmp_path / "own.pt"), "--to", "onnx", "--precision", "float32"]
    arguments += ["--weights-dir", str(folder), "--out", str(out), "--json"]
    assert main(["export", "--all", *arguments]) == 2
    assert "--model NAME with --weights" in capsys.readouterr().err
    assert main(["export", "--model", "atpn", *arguments]) == 0
    manifest = load_manifest(out)
    assert manifest.model("atpn").metrics == ()  # those were measured on other weights
    assert verify(out, "--model", "atpn", "--weights", str(tmp_path / "own.pt")) == 0
    assert verify(out, "--weights", str(tmp_path / "own.pt")) == 2
    assert verify(out, "--model", "atpn", "--weights-dir", str(folder)) == 1  # another file's hash
    assert "export it again" in capsys.readouterr().err
    assert export(folder) == 0
    assert (out / "atpn_float32.onnx").read_bytes() == (folder / "atpn_float32.onnx").read_bytes()


def test_an_open_batch(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    assert export(folder, "--dynamic-batch") == 0
    graph = onnx.load(folder / "atpn_float32.onnx").graph
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    several = (find_target("onnx", "float32"), fake_target(None, precision="int8"))
    monkeypatch.setattr("converters.targets.TARGETS", several)
    arguments = ["export", "--all", "--weights-dir", str(folder), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--dynamic-batch"]) == 2
    assert "expected --to onnx --precision float32" in capsys.readouterr().err


def test_missing_tools_have_an_exit_status_of_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert export(folder) == 0
    before = contents(folder)
    hidden = {"pip install abacus": ("abacus",)}
    target = dataclasses.replace(find_target("onnx", "float32"), modules=hidden)
    monkeypatch.setattr("converters.targets.TARGETS", (target,))
    assert export(folder) == 3
    assert "abacus for onnx float32, not installed: pip install abacus" in capsys.readouterr().err
    assert verify(folder) == 3
    assert "not run" in capsys.readouterr().out
    (folder / "atpn_float32.onnx").write_bytes(b"altered")
    assert verify(folder) == 1  # what is broken is found without the engine
    (folder / "atpn_float32.onnx").write_bytes(before["atpn_float32.onnx"])
    assert contents(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["export"],
        ["export", "--out", "x"],
        ["export", "--all", "--model", "atpn", "--out", "x"],
        ["export", "--model", "unknown", "--out", "x"],
        ["export", "--all", "--to", "punch cards", "--out", "x"],
        ["export", "--all", "--precision", "float8", "--out", "x"],
        ["unknown"],
    ],
)
def test_bad_arguments(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_verify_without_models(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert verify(folder) == 2
        assert "manifest.json" in capsys.readouterr().err


def test_verify_a_broken_manifest(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "manifest.json").write_text("{")
    assert verify(tmp_path) == 1
    assert "expected JSON" in capsys.readouterr().err


def test_a_report_in_one_line() -> None:
    assert format_parity(ALIGNMENT) == (
        "landmarks 0.0012 % of the face, pose 0.046 deg, presence 1e-05"
    )
    assert format_parity(DETECTION) == "found boxes 0.001 % of the input, scores 1e-05"


def test_a_report_on_a_network_without_presence() -> None:
    silent = {"presence_max": None, "presence_changed": None, "random_presence_max": None}
    report = dataclasses.replace(ALIGNMENT, **silent)
    assert format_parity(report) == "landmarks 0.0012 % of the face, pose 0.046 deg"
    assert format_loss(AlignmentLoss({"a": 1.0, "b": 2.0}, -0.5, None)) == (
        "NME +2.0 %, pose -0.50 deg"
    )
    assert format_loss(AlignmentLoss({"a": -1.0}, 0.0, 0.998)) == (
        "NME -1.0 %, pose +0.00 deg, presence alike 99.80 %"
    )


def test_a_table_is_aligned() -> None:
    rows = [{"a": "1", "b": "22"}, {"a": "333", "b": "4"}]
    assert format_table(rows) == "a    b\n1    22\n333  4\n"
    assert format_table([]) == ""
