import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.config import DetectorConfig
from atpn_mobile.detector import MIN_TILE, TILE_OVERLAP, NetworkDetector, Tile, tiles_of
from atpn_mobile.errors import ModelMismatchError
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
from atpn_mobile.testing import FakeBackend

SPEC = ModelSpec(
    "detector",
    InputSpec("picture", (1, 64, 64, 3), "NHWC"),
    (OutputSpec("boxes", (1, 2, 4)), OutputSpec("scores", (1, 2))),
)
OUTPUTS = {
    "boxes": np.array([[[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.75, 0.75]]], np.float32),
    "scores": np.array([[0.6, 0.9]], np.float32),
}


def test_finds_boxes_in_frame_pixels_best_first():
    backend = FakeBackend([OUTPUTS], SPEC)
    frame = np.zeros((480, 640, 3), np.uint8)
    best, other = NetworkDetector(backend).detect(frame)
    # The square is 640 wide and starts 80 above the frame; pixel centres at integers.
    assert best.box_xyxy == pytest.approx((319.5, 239.5, 479.5, 399.5))
    assert other.box_xyxy == pytest.approx((159.5, 79.5, 319.5, 239.5))
    assert (best.score, other.score) == pytest.approx((0.9, 0.6))
    assert backend.calls[0]["picture"].shape == (1, 64, 64, 3)


def test_config_is_used():
    detector = NetworkDetector(FakeBackend([OUTPUTS], SPEC), DetectorConfig(score_threshold=0.8))
    assert len(detector.detect(np.zeros((64, 64, 3), np.uint8))) == 1


def test_color_is_used():
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, :, 0] = 255
    for color, channel in (("rgb", 0), ("bgr", 2)):
        backend = FakeBackend([OUTPUTS], SPEC)
        NetworkDetector(backend, color=color).detect(frame)
        means = backend.calls[0]["picture"].mean(axis=(0, 1, 2))
        assert means.tolist() == [255.0 if index == channel else 0.0 for index in range(3)]


def test_a_network_without_boxes_is_refused():
    with pytest.raises(ModelMismatchError, match="boxes"):
        NetworkDetector(FakeBackend([]))


# --- quarter turns -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation_deg", "box"),
    [  # (0.25, 0.25) to (0.5, 0.5) of the upright frame, found again in the frame as it is
        (0, (15.5, 15.5, 31.5, 31.5)),
        (90, (15.5, 31.5, 31.5, 47.5)),
        (180, (31.5, 31.5, 47.5, 47.5)),
        (270, (31.5, 15.5, 47.5, 31.5)),
    ],
)
def test_boxes_of_a_turned_frame_are_its_own(rotation_deg, box):
    detector = NetworkDetector(FakeBackend([OUTPUTS], SPEC), rotation_deg=rotation_deg)
    _, other = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert other.box_xyxy == pytest.approx(box, abs=1e-3)


# --- small faces: tiles --------------------------------------------------------------------------


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(2, 6))
def test_tiles_cover_the_frame_and_overlap(width, height, count):
    tiles = tiles_of(width, height, count)
    if not tiles:
        assert min(width, height) < count * MIN_TILE
        return
    assert len(tiles) < 4000
    size = tiles[0].right - tiles[0].left
    for side, starts in (
        (width, sorted({tile.left for tile in tiles})),
        (height, sorted({tile.top for tile in tiles})),
    ):
        assert (starts[0], starts[-1]) == (0, side - size)
        # Whole pixels: up to one of the shared part, and as much of the tile, is rounded away.
        overlaps = [size - (after - before) for before, after in itertools.pairwise(starts)]
        assert all(overlap >= TILE_OVERLAP * size - 2.0 for overlap in overlaps)
    assert len(set(tiles)) == len(tiles)
    assert all(
        tile.right - tile.left == tile.bottom - tile.top == size
        and 0 <= tile.left <= tile.right <= width
        and 0 <= tile.top <= tile.bottom <= height
        for tile in tiles
    )


def test_tiles_of_a_camera_frame():
    # 480 = 274.3 x 1.75: two rows; 640 - 274 = 366 > 0.75 x 274: three columns
    tiles = tiles_of(640, 480, 2)
    assert tiles[0] == Tile(0, 0, 274, 274)
    assert [(tile.left, tile.top) for tile in tiles] == [
        *((0, 0), (183, 0), (366, 0)),
        *((0, 206), (183, 206), (366, 206)),
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_shorter_side_has_as_many_tiles_as_asked(count):
    for width, height in ((1280, 720), (720, 1280), (512, 512)):
        tiles = tiles_of(width, height, count)
        assert len({tile.left if width < height else tile.top for tile in tiles}) == count


def test_one_tile_is_the_shorter_side():
    assert tiles_of(640, 480, 1)[0] == Tile(0, 0, 480, 480)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (30, 20_000), (20_000, 30)])
def test_a_frame_too_small_has_no_tiles(width, height):
    assert tiles_of(width, height, 8) == ()


TILED_SPEC = ModelSpec(
    "detector",
    InputSpec("picture", (1, 64, 64, 3), "NHWC"),
    (OutputSpec("boxes", (1, 4, 4)), OutputSpec("scores", (1, 4))),
)


def find_bright(inputs):
    """A detector that finds bright squares of 4 to 24 of its 64 pixels, a larger one surer."""
    import cv2

    bright = (inputs["picture"][0, :, :, 0] > 100).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    boxes, scores = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4), np.float32)
    seen = [row for row in stats[1:].tolist() if 4 <= max(row[2:4]) <= 24][:4]
    for index, (x, y, width, height, _) in enumerate(seen):
        boxes[0, index] = np.array([x, y, x + width, y + height]) / 64.0
        scores[0, index] = 0.5 + max(width, height) / 64.0
    return {"boxes": boxes, "scores": scores}


def found(frame, tiles):
    backend = FakeBackend(find_bright, TILED_SPEC)
    detector = NetworkDetector(backend, DetectorConfig(tiles=tiles))
    return detector.detect(frame), len(backend.calls)


def bright(height, width, *squares):
    frame = np.zeros((height, width, 3), np.uint8)
    for left, top, size in squares:
        frame[top : top + size, left : left + size] = 255
    return frame


def test_a_small_face_is_found_in_a_tile_only():
    frame = bright(480, 640, (80, 90, 22))  # 2.2 of 64 pixels in the whole frame, 5.1 in a tile
    assert found(frame, 1) == ((), 1)
    (face,), calls = found(frame, 2)
    assert calls == 1 + 6
    assert face.box_xyxy == pytest.approx((80, 90, 102, 112), abs=5.0)  # a pixel of the tile: 4.3


def test_a_face_in_several_tiles_is_found_once_and_best_first():
    # the first lies in the overlap of two tiles, the second is large enough for the whole frame too
    frame = bright(480, 640, (205, 60, 40), (420, 300, 80))
    detections, _ = found(frame, 2)
    centers = [
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box, _ in map(tuple_of, detections)
    ]
    assert centers == [pytest.approx((460, 340), abs=5), pytest.approx((225, 80), abs=5)]
    assert detections[0].score >= detections[1].score


def tuple_of(detection):
    return detection.box_xyxy, detection.score


@pytest.mark.parametrize("left", range(160, 300, 20))
def test_a_face_on_an_inner_edge_is_no_part_of_a_face(left):
    # Columns start at 0, 183 and 366 and end at 274 and 457: the face is cut by some of them.
    frame = bright(480, 640, (left, 100, 40))
    (face,), _ = found(frame, 2)
    assert face.box_xyxy == pytest.approx((left, 100, left + 40, 140), abs=5.0)


def test_a_face_on_the_edge_of_the_frame_is_kept():
    (face,), _ = found(bright(480, 640, (0, 440, 40)), 2)
    assert face.box_xyxy == pytest.approx((0, 440, 40, 480), abs=5.0)


def test_a_frame_too_small_for_tiles_is_looked_at_once():
    assert found(np.zeros((1, 2, 3), np.uint8), 8) == ((), 1)


def test_tiles_of_a_turned_frame():
    frame = bright(480, 640, (80, 90, 22))
    backend = FakeBackend(find_bright, TILED_SPEC)
    turned = NetworkDetector(backend, DetectorConfig(tiles=2), rotation_deg=90)
    (face,) = turned.detect(frame)
    assert face.box_xyxy == pytest.approx((80, 90, 102, 112), abs=5.0)
    assert math.isfinite(face.score)
