"""Copy the models of the app out of models/, each checked against the manifest.

python android_demo/tools/copy_models.py FOLDER [--precision float16]

Writes manifest.json, LICENSE and the LiteRT files of both networks into FOLDER; a file that is not
the one of the manifest ends it, and FOLDER is as it was before.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parents[2] / "models"
RUNTIME = "tflite"
USED = ("atpn", "detector")


def chosen(manifest: dict[str, Any], precision: str) -> list[dict[str, Any]]:
    """The artifacts of the app.

    Raises:
        SystemExit: the manifest has not one for each network.
    """
    found = [
        artifact
        for model in manifest["models"]
        if model["name"] in USED
        for artifact in model["artifacts"]
        if artifact["runtime"] == RUNTIME and artifact["precision"] == precision
    ]
    if len(found) != len(USED):
        sys.exit(
            f"expected {RUNTIME} {precision} files of {USED} in the manifest, got {len(found)}"
        )
    return found


def copy(folder: Path, precision: str) -> None:
    """Copy all, or nothing.

    Raises:
        SystemExit: a file is not the one that the manifest describes.
    """
    manifest = json.loads((MODELS / "manifest.json").read_text(encoding="utf-8"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        part = Path(work) / "models"
        part.mkdir()
        for artifact in chosen(manifest, precision):
            name, wanted = artifact["path"], artifact["sha256"]
            data = (MODELS / name).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest != wanted:
                sys.exit(f"expected SHA-256 {wanted} of {name}, got {digest}")
            (part / name).write_bytes(data)
        for name in ("manifest.json", "LICENSE"):
            shutil.copyfile(MODELS / name, part / name)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)


def main() -> int:
    """Read the arguments, copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", default="float16")
    args = parser.parse_args()
    copy(args.folder, args.precision)
    return 0


if __name__ == "__main__":
    sys.exit(main())
