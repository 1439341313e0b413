"""Data sets by name."""

import cv2
import numpy as np
import pytest

from training.data import registry
from training.data.registry import KINDS, DatasetKind, open_dataset
from training.data.sample import DatasetError


@pytest.fixture
def pack(tmp_path):
    encoded = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].reshape(-1)
    path = tmp_path / "pack.npz"
    np.savez(
        path,
        jpeg=np.concatenate([encoded, encoded]),
        offset=[0, len(encoded), 2 * len(encoded)],
        name=["a", "b"],
        split=["train", "val"],
    )
    return path


@pytest.fixture
def calls(monkeypatch):
    """The paths and splits that the readers, replaced, are asked for."""
    asked = []
    for name, kind in KINDS.items():
        replaced = DatasetKind(
            kind.description,
            kind.splits,
            lambda path, split, name=name: asked.append((name, path, split)) or [],
        )
        monkeypatch.setitem(registry.KINDS, name, replaced)
    return asked


def test_pack_with_and_without_split(pack):
    assert [sample.name for sample in open_dataset(f"pack:{pack}")] == ["a", "b"]
    assert [sample.name for sample in open_dataset(f"pack:{pack}:val")] == ["b"]


def test_kinds():
    assert sorted(KINDS) == sorted(
        ["pack", "wflw", "300w", "300w-lp", "aflw2000", "wider", "300vw"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_split_of_every_kind_reaches_its_reader(tmp_path, calls, kind):
    open_dataset(f"{kind}:{tmp_path}")
    for split in KINDS[kind].splits:
        open_dataset(f"{kind}:{tmp_path}:{split}")
    assert calls == [(kind, tmp_path, split) for split in (None, *KINDS[kind].splits)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pack"])
def test_readers_know_the_splits_they_are_registered_with(tmp_path, kind):
    # Nothing is there to read: a reader that refused the split would name it.
    for split in KINDS[kind].splits:
        with pytest.raises(DatasetError, match=r"found no|missing") as error:
            KINDS[kind].read(tmp_path, split)
        assert "expected a split" not in str(error.value)


def test_path_may_hold_a_colon(tmp_path, calls):
    folder = tmp_path / "a:b"
    folder.mkdir()
    open_dataset(f"wflw:{folder}")
    open_dataset(f"wflw:{folder}:test")
    assert calls == [("wflw", folder, None), ("wflw", folder, "test")]


@pytest.mark.parametrize("spec", ["", "wflw", "wflw:", "/data/WFLW", "coco:/data", "C:\\data"])
def test_unknown_kind_lists_the_known_ones(spec):
    with pytest.raises(DatasetError, match=r"pack, wflw, 300w, .*300vw") as error:
        open_dataset(spec)
    assert repr(spec) in str(error.value)


def test_unknown_split_lists_the_known_ones(pack):
    with pytest.raises(DatasetError, match=r"split of pack out of train, val, got 'dev'"):
        open_dataset(f"pack:{pack}:dev")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_the_path(tmp_path, kind):
    with pytest.raises(DatasetError, match=r"nowhere, found nothing there"):
        open_dataset(f"{kind}:{tmp_path / 'nowhere'}")
