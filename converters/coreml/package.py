"""The folder of an .mlpackage as files in memory, the same bytes for the same model."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from atpn_mobile.manifest import Contents
from converters.coreml.tool import import_coremltools
from converters.errors import ConversionError

MANIFEST: Final = "Manifest.json"
_DATA: Final = "Data"  # paths in the manifest start here
_AUTHOR: Final = "com.apple.CoreML"
_MODEL: Final = f"{_AUTHOR}/model.mlmodel"
_WEIGHTS: Final = f"{_AUTHOR}/weights"
_WEIGHTS_FILE: Final = "weight.bin"
_MODEL_PATH: Final = "@model_path"  # in a program: the folder of the model


def package_files(specification: Any, weights_dir: str | None) -> dict[str, bytes]:  # noqa: ANN401
    """The files of a model.

    coremltools names the parts of a package by random UUIDs and writes maps in any order; here the
    UUIDs are made of the parts' paths, and maps are sorted.

    Args:
        specification: of an ML program, a protocol buffer.
        weights_dir: folder of its weights file, if it has one.

    Returns:
        Contents by path in the package.
    """
    files = {_MODEL: specification.SerializeToString(deterministic=True)}
    items = [_item(_MODEL, "CoreML Model Specification")]
    weights = Path(weights_dir or "", _WEIGHTS_FILE)
    if weights_dir is not None and weights.exists():  # a program may do without
        files[f"{_WEIGHTS}/{_WEIGHTS_FILE}"] = weights.read_bytes()
        items.append(_item(_WEIGHTS, "CoreML Model Weights"))
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {_identifier(item["path"]): item for item in items},
        "rootModelIdentifier": _identifier(_MODEL),
    }
    return {
        **{f"{_DATA}/{path}": contents for path, contents in files.items()},
        MANIFEST: f"{json.dumps(manifest, indent=4, sort_keys=True)}\n".encode(),
    }


def _item(path: str, description: str) -> dict[str, str]:
    name = PurePosixPath(path).name
    return {"author": _AUTHOR, "description": description, "name": name, "path": path}


def _identifier(path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, path))


def require_package(contents: Contents) -> Mapping[str, bytes]:
    """Files of a package.

    Raises:
        ConversionError: it is one file.
    """
    if isinstance(contents, bytes):
        raise ConversionError(
            f"expected the files of an .mlpackage folder, got one file of {len(contents)} bytes"
        )
    return contents


def read_spec(package: Mapping[str, bytes]) -> tuple[Any, str]:
    """The model that the package's manifest names.

    Args:
        package: contents by path in the package.

    Returns:
        The specification, a protocol buffer, and the path of its folder in the package.

    Raises:
        ConversionError: it is no such package.
        MissingToolError: coremltools is not installed.
    """
    specification = import_coremltools().proto.Model_pb2.Model()
    try:
        manifest = json.loads(package[MANIFEST])
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        path = PurePosixPath(_DATA, item["path"])
        specification.ParseFromString(package[str(path)])
    except Exception as error:  # of three formats
        raise ConversionError(
            f"expected an .mlpackage, got {sorted(package)}: {type(error).__name__} {error}"
        ) from error
    return specification, str(path.parent)


def weights_file(package: Mapping[str, bytes], folder: str, name: str) -> bytes:
    """A file that a program refers to.

    Args:
        package: contents by path in the package.
        folder: of the model.
        name: as the program says it.

    Raises:
        ConversionError: it is missing.
    """
    path = name.replace(_MODEL_PATH, folder, 1)
    if path not in package:
        raise ConversionError(f"expected {path} in the package, got {sorted(package)}")
    return package[path]
