import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks import tracking_scenes
from benchmarks.errors import BenchmarkError
from benchmarks.tracking_clips import (
    Clip,
    frames_in_view,
    is_inside,
    moved,
    read_clip,
    through_codec,
    with_noise,
)
from benchmarks.tracking_heads import covered, cut_out, paste, scaled_to
from benchmarks.tracking_scenes import (
    CROWD,
    HEIGHT,
    WARM_FRAMES,
    WIDTH,
    absence,
    crossing,
    crowd,
    jump_cut,
    other_person,
    painted_out,
    passing,
    scene_of_clip,
    still_coded,
    still_noise,
    swaying,
)
from tests.unit.benchmarks.fake_faces import clip, points

SOLO = Path(__file__).parents[3] / "assets" / "clips" / "synthetic_solo.mp4"


@pytest.fixture
def disc() -> Clip:
    return clip()


def head(eyes=80.0):
    one = clip(1, eyes=eyes)
    return cut_out(one.frames[0], one.landmarks[0, 0])


# --- clips -------------------------------------------------------------------------------------


def test_a_clip_comes_with_its_labels():
    found = read_clip(SOLO)
    scene = scene_of_clip(found)
    assert len(list(scene.frames())) == 240
    assert scene.landmarks.shape == (240, 1, 98, 2)
    assert (scene.rate_hz, scene.max_faces) == (25.0, 1)
    assert frames_in_view(found) == 135  # as its description says
    assert scene.visible[134, 0] == 1.0
    assert 0.0 < scene.visible[136, 0] < 1.0
    assert scene.visible[150, 0] == 0.0


def test_labels_have_to_fit(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(SOLO.read_bytes())
    np.savez(tmp_path / "clip.npz", landmarks=np.zeros((3, 1, 98, 2)))
    with pytest.raises(BenchmarkError, match=r"\(240, people, 98, 2\).*got \(3, 1, 98, 2\)"):
        read_clip(path)
    (tmp_path / "clip.npz").write_bytes(b"none")
    with pytest.raises(BenchmarkError, match="labels"):
        read_clip(path)
    with pytest.raises(BenchmarkError):
        read_clip(tmp_path / "nowhere.mp4")


def test_scenes_of_one_face_need_labels_of_one_face(disc):
    no_labels = Clip("bare", disc.frames, 25.0, None)
    short = clip(leaves=40)
    for one, message in ((no_labels, "bare"), (short, "got 40")):
        with pytest.raises(BenchmarkError, match=message):
            painted_out(one)
    with pytest.raises(BenchmarkError, match="labels"):
        frames_in_view(no_labels)


def test_inside_is_up_to_the_last_pixel():
    places = np.array([[[0, 0], [639, 479], [639.5, 0], [0, -0.5], [np.nan, 0]]], np.float32)
    assert is_inside(places, 640, 480).tolist() == [[True, True, False, False, False]]


def test_moved_by_whole_and_by_part_pixels():
    picture = np.zeros((4, 8, 3), np.uint8)
    picture[:, 3] = 100
    assert moved(picture, (2.0, 0.0))[0, :, 0].tolist() == [0, 0, 0, 0, 0, 100, 0, 0]
    half = moved(picture, (0.5, 0.0))[0, :, 0].astype(int)
    assert half[3:5] == pytest.approx([50, 50], abs=2)


def test_noise_is_as_strong_as_it_says_and_the_same_again():
    grey = [np.full((100, 100, 3), 128, np.uint8)] * 2
    first, second = with_noise(iter(grey), 4.0)
    assert first.std() == pytest.approx(4.0, rel=0.02)
    assert (first != second).mean() > 0.8
    np.testing.assert_array_equal(first, next(with_noise(iter(grey), 4.0)))


def test_the_codec_changes_frames_a_little(disc):
    frames = list(with_noise(iter(disc.frames[:4]), 4.0))
    coded = through_codec(frames)
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, coded, strict=True)]
    assert all(0.0 < error < 10.0 for error in errors)


# --- one face ----------------------------------------------------------------------------------


def test_painted_out(disc):
    scene = painted_out(disc)
    gone = scene.visible[:, 0] == 0.0
    assert np.flatnonzero(gone).tolist() == list(range(30, 70))
    assert len(gone) == 100
    for index, frame in enumerate(scene.frames()):
        is_disc = (frame == (40, 80, 200)).all(axis=2).any()
        assert is_disc == (not gone[index])


def test_jump(disc):
    scene = jump_cut(disc)
    frames = list(scene.frames())
    assert scene.cuts == (30,)
    np.testing.assert_array_equal(frames[29], disc.frames[29])
    np.testing.assert_array_equal(frames[30][:, 200:], disc.frames[30][:, :-200])
    assert scene.landmarks[30, 0] - disc.landmarks[30, 0] == pytest.approx(
        np.tile([200.0, 0.0], (98, 1))
    )
    assert scene.visible.min() == 1.0
    # where there is no room to the right, it goes to the left
    right = jump_cut(clip(center=(440, 240)))
    assert right.landmarks[30, 0, 60, 0] == 440 - 40 - 200


def test_stills_differ_by_noise_alone(disc, monkeypatch):
    monkeypatch.setattr(tracking_scenes, "STILL_FRAMES", 9)
    scene = still_noise(disc)
    frames = list(scene.frames())
    assert len(frames) == len(scene.landmarks) == 9
    assert np.ptp(scene.landmarks, axis=0).max() == 0.0
    noise = frames[5].astype(float) - disc.frames[0]
    assert noise.std() == pytest.approx(4.0, rel=0.02)
    coded = still_coded(disc)
    assert coded.name != scene.name
    assert len(list(coded.frames())) == len(list(coded.frames())) == 9


def disc_center(frame):
    """Of what is redder than the wall."""
    rows, columns = np.nonzero(frame[:, :, 2] > 160)
    return columns.mean(), rows.mean()


@pytest.mark.parametrize(
    "make", [lambda one: swaying(one, 1.0, 0.25), lambda one: passing(one, 0.5)]
)
def test_faces_move_as_the_truth_says(disc, make):
    scene = make(disc)
    eyes = scene.landmarks[:, 0, [60, 72], 0].mean(axis=1)
    for index, frame in enumerate(itertools.islice(scene.frames(), 0, 30, 7)):
        assert disc_center(frame) == pytest.approx((eyes[7 * index], 240.0), abs=0.5)


def test_paths(disc):
    # the disc's box is 80 pixels: the face's size
    sway = swaying(disc, 1.0, 0.25)
    x = sway.landmarks[:, 0, 60, 0]
    assert np.ptp(x) == pytest.approx(2 * 0.25 * 80, rel=0.01)
    assert sway.speed == pytest.approx(np.abs(np.diff(x)).max() * 30 / 80, rel=0.02)
    ramp = passing(disc, 0.5)
    steps = np.diff(ramp.landmarks[:, 0, 60, 0])
    assert np.abs(steps) == pytest.approx(0.5 * 80 / 30, rel=1e-3)
    assert len(steps) == 119
    assert abs(steps.sum()) == pytest.approx(abs(steps[0]), rel=1e-3)  # it comes back, but a step
    assert (np.diff(np.sign(steps)) != 0).sum() == 1


# --- heads -------------------------------------------------------------------------------------


def test_a_head_put_back_where_it_was_changes_nothing():
    one = clip(1)
    cut = cut_out(one.frames[0], one.landmarks[0, 0])
    canvas = one.frames[0].copy()
    left, top = np.rint(one.landmarks[0, 0, 0] - cut.landmarks[0]).astype(int)
    truth = paste(canvas, cut, int(left), int(top))
    np.testing.assert_array_equal(canvas, one.frames[0])
    np.testing.assert_allclose(truth, one.landmarks[0, 0])


def test_a_pasted_head_is_where_its_landmarks_are():
    canvas = np.full((480, 640, 3), 128, np.uint8)
    truth = paste(canvas, head(), 300, 100)
    assert disc_center(canvas) == pytest.approx(truth[[60, 72]].mean(axis=0), abs=0.6)


def test_what_leaves_the_picture_is_cut_off():
    for left, top in ((-60, 50), (600, 50), (50, -60), (50, 440), (-5000, 0), (0, 5000)):
        canvas = np.full((480, 640, 3), 128, np.uint8)
        paste(canvas, head(), left, top)  # nothing wraps around to the other side
        edges = canvas[:, 320:] if left <= 50 else canvas[:, :320]
        assert (edges == 128).all()


def test_scaled_heads():
    half = scaled_to(head(), 40.0)
    assert half.size == pytest.approx(40.0, rel=0.03)
    assert half.picture.shape[:2] == half.mask.shape
    canvas = np.full((480, 640, 3), 128, np.uint8)
    truth = paste(canvas, half, 300, 200)
    assert disc_center(canvas) == pytest.approx(truth[[60, 72]].mean(axis=0), abs=0.6)


def test_covered_landmarks():
    one = head()
    behind = one.landmarks + np.array([100.0, 50.0], np.float32)
    assert covered(one, 100, 50, behind).all()
    assert not covered(one, 400, 50, behind).any()
    half = covered(one, 100 + round(one.landmarks[60, 0]), 50, behind)
    assert 0.2 < half.mean() < 0.8


def test_crossing():
    scene = crossing(head(), head(60.0))
    assert next(scene.frames()).shape == (HEIGHT, WIDTH, 3)
    assert scene.landmarks.shape[:2] == scene.visible.shape
    back, front = scene.visible[:, 0], scene.visible[:, 1]
    assert front.min() == 1.0
    assert back[0] == back[-1] == 1.0
    assert back[len(back) // 2] == 0.0
    order = np.sign(scene.landmarks[:, 0, 60, 0] - scene.landmarks[:, 1, 60, 0])
    assert (order[0], order[-1]) == (1.0, -1.0)


@pytest.mark.parametrize("frames", [10, 40])
def test_absence(frames):
    scene = absence(head(), frames)
    seen = scene.visible[:, 0]
    assert (seen[:WARM_FRAMES] == 1.0).all()
    assert (seen[-WARM_FRAMES:] == 1.0).all()
    assert frames <= (seen == 0.0).sum() <= frames + WARM_FRAMES
    assert (np.diff((seen == 0.0).astype(int)) == 1).sum() == 1  # away once


def test_another_person():
    scene = other_person(head(), head(60.0))
    assert scene.visible[29:31].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert scene.cuts == (30,)
    assert np.isnan(scene.landmarks[30:, 0]).all()


def test_crowd():
    scene = crowd([head(), head(60.0)])
    (first, *_) = scene.frames()
    assert first.shape == (1080, 1920, 3)
    assert scene.landmarks.shape[1] == scene.max_faces == CROWD == 19
    sizes = np.ptp(scene.landmarks[0], axis=1).max(axis=1)
    assert sizes.max() < 0.05 * 1080
    assert scene.visible.min() == 1.0
    centers = scene.landmarks[0].mean(axis=1)
    gaps = np.linalg.norm(centers[:, None] - centers[None], axis=2) + 1e9 * np.eye(CROWD)
    assert gaps.min() > 2 * sizes.max()


def test_points_are_what_the_tests_take_them_for():
    assert np.linalg.norm(points(eyes=50.0)[60] - points(eyes=50.0)[72]) == pytest.approx(50.0)
