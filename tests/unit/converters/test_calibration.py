"""The pictures that int8 ranges are measured on, and how they are made."""

import hashlib

import cv2
import numpy as np
import pytest

from atpn_mobile.geometry import crop_frame, roi_from_landmarks
from atpn_mobile.manifest import InputSpec
from converters import make_calibration as making
from converters.calibration import (
    CALIBRATION_CROPS,
    CALIBRATION_FRAMES,
    MAX_PICTURES,
    calibration_inputs,
)
from converters.errors import RequestError
from converters.make_parity_crops import ClipFrame, encode, save_pack
from converters.models import ASMNET, ATPN, DETECTOR
from converters.parity import CROPS, FRAMES, scaled_crop
from training.data.packs import read_pack
from training.data.sample import DatasetError

NHWC = InputSpec("image", (1, 112, 112, 3), "NHWC")


# --- the project's pictures ---


def test_the_packs_are_small_enough_for_a_repository():
    assert CALIBRATION_CROPS.stat().st_size + CALIBRATION_FRAMES.stat().st_size < 1_500_000


def test_crops_of_faces_and_of_none():
    calibration = calibration_inputs("alignment", ATPN.input)
    names = [sample.name for sample in read_pack(CALIBRATION_CROPS)]
    assert len(calibration.inputs) == len(names) == len(set(names)) == 192
    assert sum(name.startswith("no face") for name in names) == 48
    for picture in calibration.inputs:
        assert picture.shape == ATPN.input.shape
        assert picture.dtype == np.float32
        assert 0.0 <= picture.min() < picture.max() <= 255.0


def test_frames_are_whole_or_parts():
    calibration = calibration_inputs("detection", DETECTOR.input)
    assert {picture.shape for picture in calibration.inputs} == {DETECTOR.input.shape}
    assert len(calibration.inputs) == 32
    barred = [picture for picture in calibration.inputs if not picture[:, :, :32].any()]
    assert 16 <= len(barred) < 32  # 4:3 in a square


def test_none_of_them_is_a_picture_that_conversions_are_compared_on():
    compared = {s.name.split(" face ")[0] for pack in (CROPS, FRAMES) for s in read_pack(pack)}
    used = {
        sample.name.removesuffix(" part").split(" face ")[0]
        for pack in (CALIBRATION_CROPS, CALIBRATION_FRAMES)
        for sample in read_pack(pack)
    }
    assert not compared & used
    assert len(used) > 150


def test_the_same_pictures_in_both_layouts():
    first, second = (calibration_inputs("alignment", spec) for spec in (ATPN.input, NHWC))
    assert first.sha256 == second.sha256
    assert first.sha256 == hashlib.sha256(CALIBRATION_CROPS.read_bytes()).hexdigest()
    for planes, pixels in zip(first.inputs, second.inputs, strict=True):
        np.testing.assert_array_equal(planes.transpose(0, 2, 3, 1), pixels)


def test_crops_are_scaled_to_a_larger_network():
    calibration = calibration_inputs("alignment", ASMNET.input)
    assert {picture.shape for picture in calibration.inputs} == {(1, 3, 224, 224)}
    stored = read_pack(CALIBRATION_CROPS)[7].image.read()
    scaled = scaled_crop(stored, 224).transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(calibration.inputs[7], scaled)


# --- pictures of one's own ---


def picture(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (width, height))


def own_pack(path, images, **arrays):
    names = np.array([f"picture {index}" for index in range(len(images))])
    save_pack(path, {**encode(images), "name": names, **arrays})
    return path


def test_crops_of_ones_own_are_taken_as_they_are(tmp_path):
    pack = own_pack(tmp_path / "own.npz", [picture(112, 112)])
    calibration = calibration_inputs("alignment", NHWC, pack)
    np.testing.assert_array_equal(calibration.inputs[0][0], read_pack(pack)[0].image.read())
    assert calibration.sha256 == hashlib.sha256(pack.read_bytes()).hexdigest()


@pytest.mark.parametrize("count", [98, 68])
def test_faces_of_ones_own_are_cut_out(tmp_path, count):
    points = np.random.default_rng(1).uniform(60.0, 110.0, (1, count, 2)).astype(np.float32)
    pack = own_pack(tmp_path / "own.npz", [picture(200, 160)], **{f"points{count}": points})
    (cut,) = calibration_inputs("alignment", NHWC, pack).inputs
    whole = read_pack(pack)[0].image.read()
    np.testing.assert_array_equal(cut[0], crop_frame(whole, roi_from_landmarks(points[0]), 112))


def test_a_picture_without_a_known_face_is_refused(tmp_path):
    pack = own_pack(tmp_path / "own.npz", [picture(112, 112), picture(200, 160)])
    with pytest.raises(RequestError, match="got 'picture 1' of 200x160 without"):
        calibration_inputs("alignment", ATPN.input, pack)
    assert len(calibration_inputs("detection", DETECTOR.input, pack).inputs) == 2


def test_crops_of_ones_own_are_not_scaled(tmp_path):
    pack = own_pack(tmp_path / "own.npz", [picture(112, 112)])  # may be any square picture
    with pytest.raises(RequestError, match="crops of 224x224 pixels or pictures with points98"):
        calibration_inputs("alignment", ASMNET.input, pack)


def test_an_empty_pack_is_refused(tmp_path):
    pack = tmp_path / "own.npz"
    np.savez(pack, jpeg=np.zeros(0, np.uint8), offset=np.zeros(1, np.int64), name=np.zeros(0, "U1"))
    with pytest.raises(RequestError, match="found none"):
        calibration_inputs("alignment", ATPN.input, pack)


def test_of_a_large_pack_an_even_part_is_used(tmp_path):
    images = [np.full((8, 8, 3), index % 256, np.uint8) for index in range(2 * MAX_PICTURES)]
    pack = own_pack(tmp_path / "own.npz", images)
    spec = InputSpec("image", (1, 8, 8, 3), "NHWC")
    inputs = calibration_inputs("detection", spec, pack).inputs
    assert len(inputs) == MAX_PICTURES
    assert [round(float(one.mean())) for one in inputs[:4]] == [0, 2, 4, 6]


# --- how they are made ---


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def clip_frame(number, people, rng):
    image = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)
    landmarks = np.full((1, 98, 2), np.nan, np.float32)
    if people:
        landmarks[0] = rng.uniform(40, 90, (98, 2))
    return ClipFrame(f"clip {number}", image, landmarks, np.eye(3, dtype=np.float32)[None])


def test_textures_differ_and_fill_the_range_of_values(rng):
    first, second = making.texture(rng), making.texture(rng)
    assert first.shape == (192, 192, 3)
    assert (first != second).any()
    means = [making.texture(rng).mean() for _ in range(20)]
    assert min(means) < 90 < 160 < max(means)


def test_scenes_are_frames_without_people_and_textures(rng):
    frames = [clip_frame(number, people=number < 3, rng=rng) for number in range(5)]
    scenes = making.scenes(frames, rng)
    assert scenes[0] is frames[3].image
    assert scenes[1] is frames[4].image
    assert len(scenes) > 10
    with pytest.raises(DatasetError, match="without a person"):
        making.scenes(frames[:3], rng)


def test_only_the_inside_of_a_face_stays():
    square = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    image, background = (np.full((80, 80, 3), value, np.uint8) for value in (7, 200))
    made = making.on_other_background(image, square, background)
    assert (made[25:56, 25:56] == 7).all()
    outside = np.ones((80, 80), bool)
    outside[20:61, 20:61] = False
    assert (made[outside] == 200).all()


def test_a_face_is_moved_and_the_same_one_every_time(rng):
    frames = [clip_frame(number, people=number % 8 > 0, rng=rng) for number in range(64)]
    faces = making.clip_faces(frames)
    assert len(faces) == making.CLIP_CROPS
    scenes = making.scenes(frames, rng)
    once, again = (making.crops_of_faces(faces[:3], scenes) for _ in range(2))
    for (name, image), (_, same), face in zip(once, again, faces, strict=False):
        assert name == face.name
        np.testing.assert_array_equal(image, same)
        plain = crop_frame(face.face.image, roi_from_landmarks(face.face.points98), 112)
        assert (image != plain).any()


def test_the_packs_are_made_of_the_train_part_and_of_clips(tmp_path, rng, monkeypatch):
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "clips").mkdir(parents=True)
    for clip in making.CLIPS:
        write_clip(data / "clips", clip, 30, rng)
    count = 12
    images = [picture(64, 64, seed) for seed in range(count)]
    own_pack(
        data / making.FACES_PACK,
        images,
        split=np.array(["val"] * 4 + ["train"] * (count - 4)),
        points98=rng.uniform(16, 48, (count, 98, 2)).astype(np.float32),
    )
    for name, fewer in {
        "SYNTHETIC_CROPS": 6,
        "CLIP_CROPS": 4,
        "NEGATIVE_CROPS": 3,
        "WHOLE_FRAMES": 3,
        "PARTS_OF_FRAMES": 2,
    }.items():
        monkeypatch.setattr(making, name, fewer)

    making.make_calibration(data, out)
    made = {path.name: path.read_bytes() for path in out.iterdir()}
    crops, frames = (read_pack(out / pack.name) for pack in (CALIBRATION_CROPS, CALIBRATION_FRAMES))

    assert len(made) == 2
    assert len(crops) == 13
    assert {sample.image.read().shape for sample in crops} == {(112, 112, 3)}
    rendered = {f"picture {index}" for index in range(4, count)}
    assert {sample.name for sample in crops[:6]} <= rendered
    shapes = [sample.image.read().shape for sample in frames]
    assert shapes == [(192, 256, 3)] * 3 + [(256, 256, 3)] * 2
    making.make_calibration(data, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == made


def write_clip(folder, name, count, rng):
    """A clip with one person, away in every third frame."""
    landmarks = rng.uniform(30, 80, (count, 1, 98, 2)).astype(np.float32)
    landmarks[::3] = np.nan
    rotation = np.repeat(np.eye(3, dtype=np.float32)[None, None], count, axis=0)
    np.savez(folder / f"{name}.npz", landmarks=landmarks, rotation=rotation, fps=25.0)
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(folder / f"{name}.mp4"), fourcc, 25.0, (160, 120))
    for seed in range(count):
        writer.write(picture(160, 120, seed))
    writer.release()
