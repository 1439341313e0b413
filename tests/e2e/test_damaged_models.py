"""Model files that are broken, under a manifest that vouches for them.

The SHA-256 of the manifest keeps damaged files from the engines. Here it is that of the damaged
file, so that an engine really reads it: it has to run or to be refused with an error of the
package. Engines are native code; all of it runs in another process, which has to survive.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atpn_mobile.backends import available_backends
from atpn_mobile.manifest import MANIFEST_NAME, load_manifest

MODELS = Path(__file__).parents[2] / "models"
ENGINES = [name for name in available_backends() if name in ("onnx", "tflite")]

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
from atpn_mobile import AtpnError, NetworkDetector, create_backend, load_manifest
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        backend = create_backend("auto", load_manifest(folder), "detector", "any")
        found = NetworkDetector(backend).detect(np.zeros((48, 64, 3), np.uint8))
        outcome = f"valid: {all(np.isfinite(one.box_xyxy).all() for one in found)}"
    except AtpnError as error:
        outcome = type(error).__name__
    except Exception as error:
        outcome = f"untyped: {error!r}"
    print("outcome", json.dumps([folder.name, outcome]), flush=True)
"""


def artifacts(engine):
    """The detector's files for an engine, from the manifest as it is written."""
    document = json.loads((MODELS / MANIFEST_NAME).read_text(encoding="utf-8"))
    (model,) = (model for model in document["models"] if model["name"] == "detector")
    return model, [one for one in model["artifacts"] if one["runtime"] == engine]


def publish(folder, contents, model, artifact):
    """A folder with one file of a model, and a manifest that describes it truly."""
    folder.mkdir()
    (folder / "file").write_bytes(contents)
    described = {
        **artifact,
        "precision": "any",
        "path": "file",
        "sha256": hashlib.sha256(contents).hexdigest(),
        "bytes": len(contents),
    }
    document = {"schema_version": 1, "models": [{**model, "artifacts": [described]}]}
    (folder / MANIFEST_NAME).write_text(json.dumps(document), encoding="utf-8")


def outcomes(folder):
    """What happened with each, by name."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("outcome ")]
    found = dict(json.loads(line.removeprefix("outcome ")) for line in lines)
    assert done.returncode == 0, f"after {[*found][-1:]}: {done.stderr[-500:]}"
    assert done.stdout.splitlines() == lines  # and nobody else wrote there
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_files_that_are_no_model(engine, tmp_path):
    model, files = artifacts(engine)
    whole = (MODELS / files[0]["path"]).read_bytes()
    foreign = "tflite" if engine == "onnx" else "onnx"
    (other, *_) = artifacts(foreign)[1]
    (alignment,) = (one for one in load_manifest(MODELS).models if one.name == "atpn")
    (swapped, *_) = (one for one in alignment.artifacts if one.runtime == engine)
    broken = {
        "empty": b"",
        "one byte": b"\0",
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "zeros": bytes(len(whole)),
        "noise": np.random.default_rng(0).bytes(len(whole)),
        "file of another engine": (MODELS / other["path"]).read_bytes(),
        "another network": (MODELS / swapped.path).read_bytes(),
        "half": whole[: len(whole) // 2],
        "all but a kilobyte": whole[:-1024],
        "header": whole[:64],
        "middle": whole[len(whole) // 3 :],
        "backwards": whole[::-1],
    }
    for name, contents in broken.items():
        publish(tmp_path / name, contents, model, files[0])
    publish(tmp_path / "whole", whole, model, files[0])
    assert outcomes(tmp_path) == {
        **dict.fromkeys(broken, "ModelMismatchError"),
        "whole": "valid: True",
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_files_with_bits_that_flipped(engine, tmp_path):
    model, files = artifacts(engine)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        contents = bytearray((MODELS / files[seed % len(files)]["path"]).read_bytes())
        # in the description of the graph, which is a small part of the file, or anywhere
        reach = 2_000 if seed % 3 == 0 else len(contents)
        for place in rng.integers(0, reach, 1 + seed % 4):
            contents[-1 - place if seed % 2 else place] ^= 1 << int(rng.integers(8))
        publish(tmp_path / f"{seed:02}", bytes(contents), model, files[seed % len(files)])
    found = outcomes(tmp_path)
    assert len(found) == 40
    assert set(found.values()) <= {"valid: True", "ModelMismatchError"}
    assert "ModelMismatchError" in found.values()
