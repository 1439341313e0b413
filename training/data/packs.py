"""The project's own packs: one .npz of JPEG files with labels beside them."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.sample import DatasetError, EncodedImage, Sample

REQUIRED = ("jpeg", "offset", "name")


def read_pack(path: Path, split: str | None = None) -> list[Sample]:
    """Read a pack.

    Args:
        path: the .npz file: ``jpeg`` (all files one after another), ``offset`` (N + 1), ``name``,
            and where known ``split``, ``points98``, ``points68``, ``rotation``, ``spread``,
            ``person``. A pack without ``split`` is all "val".
        split: "train" or "val" for that part alone, None for all.

    Raises:
        DatasetError: no such file, or not a pack.
    """
    if not path.is_file():
        raise DatasetError(f"expected a pack (.npz), found no file at {path}")
    try:
        # opened here, for numpy leaves a file open that turns out to be no archive
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    # a cut file fails as an archive, an empty one at its end, a damaged one when it is unpacked
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"expected a pack (.npz), {path} cannot be read: {error}") from error
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise DatasetError(f"expected the arrays {REQUIRED} in {path}, missing {missing}")
    count = len(arrays["offset"]) - 1
    samples = (_sample(arrays, index) for index in range(count))
    return [sample for sample in samples if split in (None, sample.split)]


def _sample(arrays: Mapping[str, NDArray[np.generic]], index: int) -> Sample:
    def row(key: str) -> NDArray[np.float32] | None:
        return arrays[key][index].astype(np.float32) if key in arrays else None

    start, stop = arrays["offset"][index : index + 2]
    return Sample(
        name=str(arrays["name"][index]),
        image=EncodedImage(arrays["jpeg"][start:stop].astype(np.uint8, copy=False)),
        split=str(arrays["split"][index]) if "split" in arrays else "val",
        points98=row("points98"),
        points68=row("points68"),
        rotation=row("rotation"),
        spread=row("spread"),
        subject=str(arrays["person"][index]) if "person" in arrays else "",
    )
