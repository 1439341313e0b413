"""Data sets by name: ``kind:path[:split]``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.data import ibug, packs, vw300, w300lp, wflw, wider
from training.data.sample import DatasetError, Sample


@dataclass(frozen=True, slots=True)
class DatasetKind:
    """A format of data set.

    Attributes:
        description: what it is, in a few words.
        splits: the names its reader takes as split.
        read: the reader: path and split (None for the whole) to samples.
    """

    description: str
    splits: tuple[str, ...]
    read: Callable[[Path, str | None], list[Sample]]


KINDS: Final[dict[str, DatasetKind]] = {
    "pack": DatasetKind("a pack of this project (.npz)", ("train", "val"), packs.read_pack),
    "wflw": DatasetKind("WFLW", wflw.SPLITS, wflw.read_wflw),
    "300w": DatasetKind("300W", ibug.SPLITS, ibug.read_300w),
    "300w-lp": DatasetKind("300W-LP", w300lp.SPLITS_300W_LP, w300lp.read_300w_lp),
    "aflw2000": DatasetKind("AFLW2000-3D", w300lp.SPLITS_AFLW2000, w300lp.read_aflw2000),
    "wider": DatasetKind("WIDER FACE", wider.SPLITS, wider.read_wider),
    "300vw": DatasetKind("300VW", vw300.SPLITS, vw300.read_300vw),
}


def open_dataset(spec: str) -> list[Sample]:
    """Read a data set, or a part of it.

    Args:
        spec: ``kind:path[:split]``, for instance ``pack:/data/faces_helen.npz:val`` or
            ``wflw:/data/WFLW:test``; the kinds and their splits stand in ``KINDS``. Without a
            split, the whole data set.

    Raises:
        DatasetError: no such kind or split, nothing there, or not in that format.
    """
    kind_name, separator, rest = spec.partition(":")
    if kind_name not in KINDS or not separator or not rest:
        raise DatasetError(
            f"expected a data set as kind:path[:split] with a kind out of {', '.join(KINDS)}, "
            f"got {spec!r}"
        )
    kind = KINDS[kind_name]
    path, split = _split_off(rest, kind.splits)
    if split is not None and split not in kind.splits:
        raise DatasetError(
            f"expected a split of {kind_name} out of {', '.join(kind.splits)}, "
            f"got {split!r} in {spec!r}"
        )
    if not path.exists():
        raise DatasetError(f"expected {kind.description} at {path}, found nothing there")
    return kind.read(path, split)


def _split_off(rest: str, splits: tuple[str, ...]) -> tuple[Path, str | None]:
    head, separator, tail = rest.rpartition(":")
    is_path = not separator or "/" in tail or "\\" in tail  # a path may hold a colon: C:\data
    if is_path or (tail not in splits and Path(rest).exists()):
        return Path(rest), None
    return Path(head), tail
