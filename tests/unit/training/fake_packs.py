"""Packs of noise with labels, for tests that need the files and not the faces."""

import cv2
import numpy as np


def write_pack(path, count, *, faces, held_out, rotation=None, size=48):
    """Write ``count`` pictures, the first ``held_out`` of them in the split "val".

    ``faces`` have 98 points and a rotation each: those of ``rotation``, or none.
    """
    rng = np.random.default_rng(len(path.name))
    encoded = [
        cv2.imencode(".jpg", rng.integers(0, 256, (size, size, 3)).astype(np.uint8))[1].ravel()
        for _ in range(count)
    ]
    arrays = {
        "jpeg": np.concatenate(encoded),
        "offset": np.cumsum([0, *(one.size for one in encoded)]),
        "name": np.array([f"p{i}" for i in range(count)]),
        "split": np.array(["val" if i < held_out else "train" for i in range(count)]),
    }
    if faces:
        arrays["points98"] = rng.uniform(10, 38, (count, 98, 2)).astype(np.float32)
        upright = np.repeat(np.eye(3)[None], count, axis=0)
        arrays["rotation"] = (upright if rotation is None else rotation).astype(np.float32)
    np.savez(path, **arrays)
