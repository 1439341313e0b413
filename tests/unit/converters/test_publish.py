"""What is written has been compared, is described truly, and replaces nothing when it fails."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from atpn_mobile.errors import ManifestError
from atpn_mobile.manifest import Metric, load_manifest
from atpn_mobile.types import FloatArray
from converters.errors import ConversionError, ParityError, RequestError
from converters.models import Reference
from converters.publish import (
    TARGETS,
    Conversion,
    Target,
    convert,
    find_target,
    manifest_document,
    publish,
    read_metrics,
    verify,
)
from converters.to_onnx import TOOLS

ONNX = find_target("onnx", "float32")
NME = Metric("NME", 1.5, "%", "faces", "python -m training evaluate")


class Shifted:
    """The reference itself as a backend, its landmarks shifted."""

    name = "onnx"

    def __init__(self, reference: Reference, shift: float) -> None:
        self.spec = reference.model.spec
        self._reference, self._shift = reference, shift
        self.closed = False

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        outputs = self._reference.run(inputs)
        outputs["landmarks"] = outputs["landmarks"] + np.float32(self._shift)
        return outputs

    def close(self) -> None:
        self.closed = True


def fake_target(reference: Reference, shift: float = 0.0, **fields: str) -> Target:
    """A target whose files hold nothing but their name; fast."""
    return dataclasses.replace(
        ONNX,
        convert=lambda reference, dynamic_batch: b"file" + reference.weights_sha256.encode(),
        load=lambda contents, spec: Shifted(reference, shift),
        **fields,
    )


def convert_fast(reference: Reference, **fields: str) -> Conversion:
    return convert(reference, fake_target(reference, **fields), lambda text: None)


def renamed(reference: Reference, name: str) -> Reference:
    return dataclasses.replace(reference, model=dataclasses.replace(reference.model, name=name))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_finds_targets() -> None:
    assert find_target("onnx", "float32") in TARGETS
    with pytest.raises(RequestError, match=r"\('onnx', 'float32'\).*got \('onnx', 'int1'\)"):
        find_target("onnx", "int1")


def test_a_conversion_says_what_it_does(tiny: Reference) -> None:
    steps: list[str] = []
    convert(tiny, fake_target(tiny), steps.append)
    assert steps == [
        "atpn: onnx float32: convert",
        "atpn: onnx float32: compare with the reference",
    ]


def test_a_conversion_that_differs_is_refused(tiny: Reference) -> None:
    with pytest.raises(ParityError, match=r"landmarks_max_percent 0\.2"):
        convert(tiny, fake_target(tiny, shift=0.001), lambda text: None)


def test_a_conversion_without_limits_is_refused(tiny: Reference) -> None:
    with pytest.raises(ParityError, match="limits for alignment in float8"):
        convert_fast(tiny, precision="float8")


def test_a_conversion_that_does_not_load_is_refused(tiny: Reference) -> None:
    target = dataclasses.replace(ONNX, convert=lambda reference, dynamic_batch: b"nonsense")
    with pytest.raises(ConversionError, match="expected onnx to run the converted 'atpn'"):
        convert(tiny, target, lambda text: None)


def test_the_backend_is_closed(tiny: Reference) -> None:
    backend = Shifted(tiny, 0.0)
    target = dataclasses.replace(fake_target(tiny), load=lambda contents, spec: backend)
    convert(tiny, target, lambda text: None)
    assert backend.closed


def test_the_manifest_describes_the_file(tiny: Reference, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    manifest = publish([convert_fast(tiny)], out, {"atpn": [NME]})
    assert sorted(contents(out)) == ["atpn_float32.onnx", "manifest.json"]
    file = (out / "atpn_float32.onnx").read_bytes()
    model = manifest.model("atpn")
    artifact = manifest.artifact("atpn", "onnx", "float32")
    assert manifest.read_artifact(artifact) == file
    assert artifact.sha256 == hashlib.sha256(file).hexdigest()
    assert artifact.parity["landmarks_max_percent"] == 0.0
    assert artifact.parity["crops"] == 64
    assert artifact.parity["reference_sha256"] == tiny.weights_sha256
    assert "onnxruntime" in str(artifact.parity["compared"])
    assert set(artifact.tools) == set(TOOLS)
    assert model.metrics == (NME,)
    assert (model.input, model.outputs) == (tiny.model.input, tiny.model.outputs)
    assert model.parameters == sum(p.numel() for p in tiny.network.parameters())
    stem, reduce, expand = 56 * 56 * 8 * 3 * 9, 8 * 8, 8 * 8
    assert model.macs == stem + reduce + expand + 7 * 7 * 8 * 8 * 64 + 392 * 200


def test_the_document_is_read_back_as_the_same_models(tiny: Reference, tmp_path: Path) -> None:
    models = publish([convert_fast(tiny)], tmp_path, {"atpn": [NME]}).models
    (tmp_path / "copy.json").write_text(json.dumps(manifest_document(models)))
    assert load_manifest(tmp_path / "copy.json").models == models


def test_an_input_of_its_own_is_read_back_too(tiny: Reference, tmp_path: Path) -> None:
    (model,) = publish([convert_fast(tiny)], tmp_path).models
    nhwc = dataclasses.replace(model.input, shape=(1, 112, 112, 3), layout="NHWC")
    file = dataclasses.replace(model.artifacts[0], input=nhwc)
    models = (dataclasses.replace(model, artifacts=(file,)),)
    (tmp_path / "copy.json").write_text(json.dumps(manifest_document(models)))
    assert load_manifest(tmp_path / "copy.json").models == models


def test_publishing_again_changes_nothing(tiny: Reference, tmp_path: Path) -> None:
    publish([convert_fast(tiny)], tmp_path, {"atpn": [NME]})
    before = contents(tmp_path)
    publish([convert_fast(tiny)], tmp_path)
    assert contents(tmp_path) == before


def test_other_models_stay(tiny: Reference, tmp_path: Path) -> None:
    publish([convert_fast(renamed(tiny, "other"))], tmp_path)
    manifest = publish([convert_fast(tiny)], tmp_path)
    assert [model.name for model in manifest.models] == ["other", "atpn"]
    manifest.read_artifact(manifest.artifact("other", "onnx", "float32"))


def test_other_files_of_the_same_weights_stay(tiny: Reference, tmp_path: Path) -> None:
    publish([convert_fast(tiny, runtime="zzz")], tmp_path)
    manifest = publish([convert_fast(tiny)], tmp_path)
    assert [file.runtime for file in manifest.model("atpn").artifacts] == ["onnx", "zzz"]


def test_files_and_metrics_of_other_weights_are_no_longer_described(
    tiny: Reference, tmp_path: Path
) -> None:
    old = dataclasses.replace(tiny, weights_sha256="0" * 64)
    publish([convert_fast(old, runtime="zzz")], tmp_path, {"atpn": [NME]})
    manifest = publish([convert_fast(tiny)], tmp_path)
    assert [file.runtime for file in manifest.model("atpn").artifacts] == ["onnx"]
    assert manifest.model("atpn").metrics == ()


def test_metrics_given_replace_those_there(tiny: Reference, tmp_path: Path) -> None:
    publish([convert_fast(tiny)], tmp_path, {"atpn": [NME]})
    better = dataclasses.replace(NME, value=1.25)
    assert publish([convert_fast(tiny)], tmp_path, {"atpn": [better]}).models[0].metrics == (
        better,
    )


def test_a_manifest_that_its_reader_refuses_is_not_published(
    tiny: Reference, tmp_path: Path
) -> None:
    publish([convert_fast(tiny)], tmp_path)
    before = contents(tmp_path)
    nameless = dataclasses.replace(tiny, model=dataclasses.replace(tiny.model, license=""))
    with pytest.raises(ManifestError, match="license"):
        publish([convert_fast(nameless)], tmp_path)
    assert contents(tmp_path) == before


def test_a_broken_manifest_is_not_written_over(tiny: Reference, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ManifestError):
        publish([convert_fast(tiny)], tmp_path)
    assert contents(tmp_path) == {"manifest.json": b"{"}


def test_reads_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"atpn": [dataclasses.asdict(NME)], "detector": []}))
    assert read_metrics(path) == {"atpn": (NME,), "detector": ()}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"atpn": {}, "detector": 1}',
        '{"atpn": [{"name": "NME"}]}',
        '{"atpn": [{"name": "a", "value": NaN, "unit": "b", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": true, "unit": "b", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": 1, "unit": "", "data": "c", "command": "d"}]}',
        '{"atpn": [{"name": "a", "value": 1, "unit": "b", "data": "c", "command": "d", "e": "f"}]}',
        '{"unknown": []}',
    ],
)
def test_refuses_metrics_of_another_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(RequestError, match="expected"):
        read_metrics(path)


def test_refuses_missing_metrics(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read_metrics(tmp_path / "metrics.json")


@pytest.fixture(scope="module")
def published(_tiny: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported tiny network; not to be written to."""
    folder = tmp_path_factory.mktemp("published")
    publish([convert(_tiny, ONNX, lambda text: None)], folder)
    return folder


@pytest.fixture
def models_dir(published: Path, tmp_path: Path) -> Path:
    for name, file in contents(published).items():
        (tmp_path / name).write_bytes(file)
    return tmp_path


def verify_error(models_dir: Path, weights_dir: Path) -> str:
    (result,) = verify(models_dir, weights_dir, lambda text: None)
    assert result.parity is None
    assert result.error
    return result.error


def edit_manifest(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    for key, value in fields.items():
        target = document["models"][0]
        if key in target["artifacts"][0]:
            target = target["artifacts"][0]
        target[key] = value
    path.write_text(json.dumps(document))


@pytest.mark.usefixtures("only_tiny")
class TestVerify:
    def test_an_exported_network_holds(self, models_dir: Path, weights_dir: Path) -> None:
        steps: list[str] = []
        (result,) = verify(models_dir, weights_dir, steps.append)
        assert result.error is None
        assert result.parity is not None
        assert result.parity.sqnr_db > 0.0
        assert steps == ["atpn: onnx float32: verify"]

    def test_an_altered_file_is_found(self, models_dir: Path, weights_dir: Path) -> None:
        path = models_dir / "atpn_float32.onnx"
        file = bytearray(path.read_bytes())
        file[len(file) // 2] ^= 1
        path.write_bytes(file)
        assert "SHA-256" in verify_error(models_dir, weights_dir)

    def test_a_missing_file_is_found(self, models_dir: Path, weights_dir: Path) -> None:
        (models_dir / "atpn_float32.onnx").unlink()
        assert "cannot be read" in verify_error(models_dir, weights_dir)

    def test_a_network_that_differs_is_found_though_its_hash_is_right(
        self, models_dir: Path, weights_dir: Path
    ) -> None:
        path = models_dir / "atpn_float32.onnx"
        model = onnx.load(path)
        (bias,) = (one for one in model.graph.initializer if one.name == "head.bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1e-3, bias.name))
        file = model.SerializeToString()
        path.write_bytes(file)
        edit_manifest(models_dir, sha256=hashlib.sha256(file).hexdigest(), bytes=len(file))
        assert "landmarks_max_percent" in verify_error(models_dir, weights_dir)

    def test_files_of_other_weights_are_found(self, models_dir: Path, weights_dir: Path) -> None:
        parity = load_manifest(models_dir).models[0].artifacts[0].parity
        edit_manifest(models_dir, parity={**parity, "reference_sha256": "0" * 64})
        assert "export it again" in verify_error(models_dir, weights_dir)

    def test_a_wrong_description_is_found(self, models_dir: Path, weights_dir: Path) -> None:
        edit_manifest(models_dir, macs=1)
        assert "expected the manifest to describe" in verify_error(models_dir, weights_dir)

    def test_an_unknown_model_is_found(self, models_dir: Path, weights_dir: Path) -> None:
        edit_manifest(models_dir, name="unknown")
        assert "expected a model out of ['atpn']" in verify_error(models_dir, weights_dir)

    def test_an_engine_without_a_backend_is_found(
        self, models_dir: Path, weights_dir: Path
    ) -> None:
        edit_manifest(models_dir, runtime="abacus")
        assert "abacus" in verify_error(models_dir, weights_dir)

    def test_nothing_is_altered(self, models_dir: Path, weights_dir: Path) -> None:
        before = contents(models_dir)
        verify(models_dir, weights_dir, lambda text: None)
        assert contents(models_dir) == before
