import copy
import hashlib
import json

import pytest

from atpn_mobile.errors import ChecksumError, ManifestError, ModelNotFoundError
from atpn_mobile.manifest import InputSpec, load_manifest

CONTENTS = b"not a real network, but real bytes"
INPUT = {
    "name": "image",
    "shape": [1, 3, 112, 112],
    "layout": "NCHW",
    "color": "RGB",
    "range": [0, 255],
    "dtype": "float32",
}
DOCUMENT = {
    "schema_version": 1,
    "models": [
        {
            "name": "atpn",
            "version": "1.0.0",
            "task": "alignment",
            "input": INPUT,
            "outputs": [
                {"name": "landmarks", "shape": [1, 98, 2], "meaning": "crop units"},
                {"name": "presence", "shape": [1, 1], "meaning": "probability"},
            ],
            "landmark_scheme": "wflw98",
            "parameters": 1_300_000,
            "macs": 77_000_000,
            "metrics": [
                {"name": "NME", "value": 5, "unit": "%", "data": "val", "command": "evaluate"}
            ],
            "license": "research",
            "training_data": "faces",
            "artifacts": [
                {
                    "runtime": "onnx",
                    "precision": "float32",
                    "path": "files/atpn.onnx",
                    "sha256": hashlib.sha256(CONTENTS).hexdigest(),
                    "bytes": len(CONTENTS),
                    "parity": {"compared": "reference", "crops": 16, "presence_max": 1e-5},
                    "tools": {"torch": "2.0"},
                },
                {
                    "runtime": "tflite",
                    "precision": "int8",
                    "path": "atpn.tflite",
                    "sha256": "0" * 64,
                    "bytes": 1,
                    "input": {**INPUT, "shape": [1, 112, 112, 3], "layout": "NHWC"},
                    "parity": {},
                    "tools": {},
                },
            ],
        }
    ],
}
REMOVED = object()


def write(folder, document):
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files" / "atpn.onnx").write_bytes(CONTENTS)
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def changed(path, value):
    """The document with one place changed: ``path`` holds keys and indices."""
    document = copy.deepcopy(DOCUMENT)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def test_reads_every_field(tmp_path):
    manifest = load_manifest(write(tmp_path, DOCUMENT))
    model = manifest.model("atpn")
    assert (model.version, model.task, model.landmark_scheme) == ("1.0.0", "alignment", "wflw98")
    assert (model.parameters, model.macs) == (1_300_000, 77_000_000)
    assert model.input == InputSpec("image", (1, 3, 112, 112), "NCHW")
    assert model.input.resolution == 112
    assert [(output.name, output.shape) for output in model.outputs] == [
        ("landmarks", (1, 98, 2)),
        ("presence", (1, 1)),
    ]
    assert (model.metrics[0].value, model.metrics[0].unit) == (5, "%")
    assert (model.license, model.training_data) == ("research", "faces")
    onnx = manifest.artifact("atpn", "onnx", "float32")
    assert onnx.parity == {"compared": "reference", "crops": 16, "presence_max": 1e-5}
    assert onnx.tools == {"torch": "2.0"}
    assert manifest.read_artifact(onnx) == CONTENTS


def test_folder_and_file_are_the_same(tmp_path):
    write(tmp_path, DOCUMENT)
    assert load_manifest(tmp_path) == load_manifest(str(tmp_path / "manifest.json"))


def test_a_file_can_have_an_input_of_its_own(tmp_path):
    manifest = load_manifest(write(tmp_path, DOCUMENT))
    model = manifest.model("atpn")
    phone = manifest.artifact("atpn", "tflite", "int8")
    assert model.spec(phone).input == InputSpec("image", (1, 112, 112, 3), "NHWC")
    assert model.spec(phone).input.resolution == 112
    assert model.spec(manifest.artifact("atpn", "onnx", "float32")).input == model.input


MODEL = ("models", 0)
FILE = (*MODEL, "artifacts", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema_version",), 2, "schema_version 1 .* got 2"),
        (("schema_version",), True, "schema_version"),
        (("models",), {}, "a list at .*models"),
        (("extra",), 1, "no other fields .*extra"),
        ((*MODEL, "name"), REMOVED, r"'name' in .*models\[0\]"),
        ((*MODEL, "name"), "", "text at .*name"),
        ((*MODEL, "extra"), 1, r"no other fields in .*models\[0\].*extra"),
        ((*MODEL, "task"), "segmentation", "'alignment' or 'detection' at .*task"),
        ((*MODEL, "landmark_scheme"), 98, "landmark_scheme"),
        ((*MODEL, "parameters"), -1, "parameters"),
        ((*MODEL, "macs"), 7.5, "macs"),
        ((*MODEL, "outputs"), [], "outputs"),
        ((*MODEL, "outputs", 1, "name"), "landmarks", "different names .*outputs"),
        ((*MODEL, "outputs", 0, "shape"), [1, 0, 2], r"outputs\[0\].shape"),
        ((*MODEL, "outputs", 0, "shape"), [True, 98, 2], r"outputs\[0\].shape"),
        ((*MODEL, "input"), [], "object at .*input"),
        ((*MODEL, "input", "layout"), "NCWH", "layout"),
        ((*MODEL, "input", "color"), "BGR", "color"),
        ((*MODEL, "input", "range"), [0, 1], r"\[0, 255\] at .*range"),
        ((*MODEL, "input", "dtype"), "uint8", "dtype"),
        ((*MODEL, "input", "shape"), [1, 112, 112, 3], r"\[1, 3, S, S\] for NCHW at .*shape"),
        ((*MODEL, "input", "shape"), [1, 3, 112, 96], "shape"),
        ((*MODEL, "input", "shape"), [3], "shape"),
        ((*MODEL, "metrics", 0, "value"), "5", r"metrics\[0\].value"),
        ((*MODEL, "metrics", 0, "value"), float("nan"), "JSON"),
        ((*FILE, "sha256"), "ABC", "sha256"),
        ((*FILE, "bytes"), "12", "bytes"),
        ((*FILE, "path"), "../atpn.onnx", "relative path inside"),
        ((*FILE, "path"), "files/../../atpn.onnx", "relative path inside"),
        ((*FILE, "path"), "/etc/atpn.onnx", "relative path inside"),
        ((*FILE, "path"), "..\\atpn.onnx", "relative path inside"),
        ((*FILE, "path"), "C:/atpn.onnx", "relative path inside"),
        ((*FILE, "parity"), {"crops": None}, "parity.crops"),
        ((*FILE, "tools"), {"torch": 2.0}, "tools.torch"),
        ((*FILE, "extra"), 1, r"artifacts\[0\]"),
        ((*MODEL, "artifacts", 1, "runtime"), 3, r"artifacts\[1\].runtime"),
    ],
)
def test_a_broken_field_is_named(tmp_path, path, value, message):
    write(tmp_path, changed(path, value))
    with pytest.raises(ManifestError, match=message):
        load_manifest(tmp_path)


def test_doubles_are_refused(tmp_path):
    model = DOCUMENT["models"][0]
    write(tmp_path, {**DOCUMENT, "models": [model, model]})
    with pytest.raises(ManifestError, match="once"):
        load_manifest(tmp_path)
    file = model["artifacts"][0]
    write(tmp_path, changed((*MODEL, "artifacts"), [file, file]))
    with pytest.raises(ManifestError, match="one file per runtime and precision"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_manifest_that_is_none(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        load_manifest(tmp_path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="JSON"):
        load_manifest(tmp_path)


def test_a_missing_manifest(tmp_path):
    for place, file in ((tmp_path, "manifest.json"), (tmp_path / "nowhere", "nowhere")):
        with pytest.raises(ManifestError, match="pass --models DIR or models_dir") as caught:
            load_manifest(place)
        assert str(caught.value).count(str(tmp_path)) == 1
        assert f"{file}, found none" in str(caught.value)


def test_a_manifest_that_cannot_be_read(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ManifestError, match=r"manifest\.json, it cannot be read: \w") as caught:
        load_manifest(tmp_path)
    assert str(caught.value).count(str(tmp_path)) == 1


def test_looking_for_what_is_not_there(tmp_path):
    manifest = load_manifest(write(tmp_path, DOCUMENT))
    with pytest.raises(ModelNotFoundError, match=r"\['atpn'\].*got 'atnp'"):
        manifest.model("atnp")
    with pytest.raises(ModelNotFoundError, match=r"'onnx', 'float32'.*got .'onnx', 'int8'"):
        manifest.artifact("atpn", "onnx", "int8")


def test_a_missing_file(tmp_path):
    manifest = load_manifest(write(tmp_path, DOCUMENT))
    (tmp_path / "files" / "atpn.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match=r"atpn\.onnx"):
        manifest.read_artifact(manifest.artifact("atpn", "onnx", "float32"))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (CONTENTS[:-1], f"expected {len(CONTENTS)} bytes"),
        (b"", f"expected {len(CONTENTS)} bytes"),
        (CONTENTS[::-1], "expected SHA-256"),  # the right size, other bytes
    ],
)
def test_an_altered_file(tmp_path, contents, message):
    manifest = load_manifest(write(tmp_path, DOCUMENT))
    (tmp_path / "files" / "atpn.onnx").write_bytes(contents)
    with pytest.raises(ChecksumError, match=message):
        manifest.read_artifact(manifest.artifact("atpn", "onnx", "float32"))
