"""What is published is as described, or what is wrong with it is said."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from atpn_mobile.manifest import load_manifest
from converters.convert import convert
from converters.models import Reference
from converters.publish import publish
from converters.targets import Source, find_target
from converters.verify import verify

ONNX = find_target("onnx", "float32")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def published(_tiny: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported tiny network; not to be written to."""
    folder = tmp_path_factory.mktemp("published")
    publish([convert(Source(_tiny), ONNX, lambda text: None)], folder)
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
