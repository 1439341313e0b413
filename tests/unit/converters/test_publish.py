"""What is written is described truly, and replaces nothing when it fails."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atpn_mobile.errors import ChecksumError, ManifestError
from atpn_mobile.manifest import Metric, contents_sha256, load_manifest
from converters.convert import Conversion, convert
from converters.models import Reference
from converters.publish import manifest_document, publish, write_contents
from converters.targets import Source, Target
from converters.to_onnx import TOOLS
from tests.unit.converters.fakes import fake_target

NME = Metric("NME", 1.5, "%", "faces", "python -m training evaluate")


def convert_fast(reference: Reference, **fields: str) -> Conversion:
    return convert(Source(reference), fake_target(reference, **fields), lambda text: None)


def renamed(reference: Reference, name: str) -> Reference:
    return dataclasses.replace(reference, model=dataclasses.replace(reference.model, name=name))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    assert "a shifted copy" in str(artifact.parity["compared"])
    assert set(artifact.tools) == set(TOOLS)
    assert model.metrics == (NME,)
    assert (model.input, model.outputs) == (tiny.model.input, tiny.model.outputs)
    assert model.parameters == sum(p.numel() for p in tiny.network.parameters())
    stem, reduce, expand = 56 * 56 * 8 * 3 * 9, 8 * 8, 8 * 8
    assert model.macs == stem + reduce + expand + 7 * 7 * 8 * 8 * 64 + 392 * 200


def test_nothing_is_written_of_an_output_that_there_is_not(tiny: Reference, tmp_path: Path) -> None:
    conversion = convert_fast(tiny)
    parity = dataclasses.replace(conversion.parity, presence_max=None, random_presence_max=None)
    (model,) = publish([dataclasses.replace(conversion, parity=parity)], tmp_path).models
    written = model.artifacts[0].parity
    assert "presence_changed" in written
    assert not {"presence_max", "random_presence_max"} & set(written)


def test_the_pictures_that_ranges_were_measured_on_are_named(
    tiny: Reference, tmp_path: Path
) -> None:
    source = Source(tiny)
    conversion = convert(source, fake_target(tiny, calibrated=True), lambda text: None)
    (model,) = publish([conversion], tmp_path).models
    assert model.artifacts[0].parity["calibration_sha256"] == source.calibration.sha256
    (model,) = publish([convert_fast(tiny)], tmp_path).models
    assert "calibration_sha256" not in model.artifacts[0].parity


def test_the_document_is_read_back_as_the_same_models(tiny: Reference, tmp_path: Path) -> None:
    models = publish([convert_fast(tiny)], tmp_path, {"atpn": [NME]}).models
    (tmp_path / "copy.json").write_text(json.dumps(manifest_document(models)))
    assert load_manifest(tmp_path / "copy.json").models == models


def test_a_layout_of_its_own_is_described(tiny: Reference, tmp_path: Path) -> None:
    (model,) = publish([convert_fast(tiny, layout="NHWC")], tmp_path).models
    nhwc = dataclasses.replace(model.input, shape=(1, 112, 112, 3), layout="NHWC")
    assert model.artifacts[0].input == nhwc
    assert load_manifest(tmp_path).models == (model,)


def folder_target(reference: Reference, note: bytes) -> Target:
    """A target whose files are folders."""
    files = {"Manifest.json": b"{}", "Data/weights/weight.bin": note}
    fields = {"suffix": ".mlpackage", "convert": lambda source: files}
    return dataclasses.replace(fake_target(reference), **fields)


def test_a_folder_is_written_and_replaced_as_a_whole(tiny: Reference, tmp_path: Path) -> None:
    for note in (b"first", b"the second"):
        target = folder_target(tiny, note)
        manifest = publish([convert(Source(tiny), target, lambda text: None)], tmp_path)
        artifact = manifest.artifact("atpn", "onnx", "float32")
        assert artifact.path == "atpn_float32.mlpackage"
        assert artifact.size_bytes == 2 + len(note)
        assert manifest.read_artifact(artifact) == {
            "Manifest.json": b"{}",
            "Data/weights/weight.bin": note,
        }
        (tmp_path / artifact.path / "of the one before").write_bytes(b"")
        with pytest.raises(ChecksumError):
            manifest.read_artifact(artifact)
    assert sorted(path.name for path in tmp_path.iterdir()) == [artifact.path, "manifest.json"]


def test_the_hash_of_a_folder_is_what_sha256sum_gives(tmp_path: Path) -> None:
    files = {"b/c.txt": b"1", "a.txt": b"2", "b.txt": b"3"}
    write_contents(files, tmp_path)
    command = (
        "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    )
    if not shutil.which("sha256sum") or sys.platform != "linux":
        pytest.skip("expected GNU find, xargs and sha256sum")
    told = subprocess.run(command, shell=True, cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert told.stdout.decode().split()[0] == contents_sha256(files)


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
