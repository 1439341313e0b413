"""``atpn info`` tells what is there, and notices what is not as it should be."""

import hashlib
import json

import pytest

from atpn_mobile.backends import engines
from atpn_mobile.info import collect_info, format_info

CONTENT = b"the bytes of a model"


def make_models(folder, **artifact):
    """A folder with one model of one file."""
    (folder / "net.onnx").write_bytes(CONTENT)
    manifest = {
        "schema_version": 1,
        "models": [
            {
                "name": "atpn",
                "version": "1.2.3",
                "task": "alignment",
                "input": {
                    "name": "image",
                    "shape": [1, 3, 112, 112],
                    "layout": "NCHW",
                    "color": "RGB",
                    "range": [0, 255],
                    "dtype": "float32",
                },
                "outputs": [{"name": "landmarks", "shape": [1, 98, 2], "meaning": "points"}],
                "landmark_scheme": "wflw98",
                "parameters": 1234567,
                "macs": 76_500_000,
                "metrics": [],
                "license": "research",
                "training_data": "pictures",
                "artifacts": [
                    {
                        "runtime": "onnx",
                        "precision": "float32",
                        "path": "net.onnx",
                        "sha256": hashlib.sha256(CONTENT).hexdigest(),
                        "bytes": len(CONTENT),
                        "parity": {},
                        "tools": {},
                        **artifact,
                    }
                ],
            }
        ],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_intact_models_are_shown_with_their_counts(tmp_path):
    report = collect_info(make_models(tmp_path))
    assert report["intact"]
    assert report["models_folder"] == str(tmp_path)
    (model,) = report["models"]
    assert (model["name"], model["version"], model["parameters"]) == ("atpn", "1.2.3", 1234567)
    assert model["artifacts"][0]["status"] == "ok"
    text = format_info(report)
    for part in ("atpn 1.2.3", "1,234,567 parameters", "76.5 M MACs", "net.onnx", "ok"):
        assert part in text


def test_an_altered_file_is_noticed(tmp_path):
    make_models(tmp_path)
    (tmp_path / "net.onnx").write_bytes(CONTENT[:-1] + b"!")
    report = collect_info(tmp_path)
    assert report["models"][0]["artifacts"][0]["status"] == "altered"
    assert not report["intact"]
    assert "altered" in format_info(report)


def test_a_missing_file_is_noticed(tmp_path):
    report = collect_info(make_models(tmp_path, path="gone.onnx"))
    assert report["models"][0]["artifacts"][0]["status"] == "missing"
    assert not report["intact"]


def change_manifest(folder, change):
    document = json.loads((folder / "manifest.json").read_text())
    change(document)
    (folder / "manifest.json").write_text(json.dumps(document))


def test_a_manifest_without_models_is_not_intact(tmp_path):
    change_manifest(make_models(tmp_path), lambda document: document["models"].clear())
    report = collect_info(tmp_path)
    assert report["intact"] is False
    assert "expected models" in report["error"]
    assert report["error"] in format_info(report)


def test_a_model_without_files_is_not_intact(tmp_path):
    def add_bare_model(document):
        document["models"].append({**document["models"][0], "name": "bare", "artifacts": []})

    change_manifest(make_models(tmp_path), add_bare_model)
    report = collect_info(tmp_path)
    assert report["intact"] is False
    assert format_info(report).endswith("no files")


def test_a_missing_manifest_is_told_beside_the_rest(tmp_path):
    report = collect_info(tmp_path)
    assert not report["intact"]
    assert "manifest" in report["error"]
    assert report["engines"]
    assert report["error"] in format_info(report)


@pytest.mark.parametrize("installed", [True, False])
def test_every_engine_is_listed_with_its_version_or_how_to_get_it(tmp_path, monkeypatch, installed):
    monkeypatch.setattr(
        "atpn_mobile.info.importlib.util.find_spec", lambda name: object() if installed else None
    )
    monkeypatch.setattr(
        "atpn_mobile.info.importlib.metadata.packages_distributions",
        lambda: {"onnxruntime": ["onnxruntime-special"]},
    )
    monkeypatch.setattr("atpn_mobile.info.importlib.metadata.version", lambda name: f"9.9 {name}")
    report = collect_info(make_models(tmp_path))
    assert [engine["name"] for engine in report["engines"]] == [e.name for e in engines()]
    (onnx,) = [engine for engine in report["engines"] if engine["name"] == "onnx"]
    assert onnx["installed"] is installed
    text = format_info(report)
    if installed:
        assert onnx["version"] == "9.9 onnxruntime-special"
        assert "onnxruntime-special 9.9" in text
    else:
        assert onnx["version"] is None
        assert "pip install" in text


def test_the_report_is_json(tmp_path):
    assert json.loads(json.dumps(collect_info(make_models(tmp_path))))["intact"] is True
