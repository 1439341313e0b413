import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atpn_mobile.errors import InvalidFrameError
from atpn_mobile.geometry import landmarks_to_crop, landmarks_to_frame
from atpn_mobile.manifest import InputSpec
from atpn_mobile.preprocess import (
    MAX_FRAME_SIDE,
    check_frame,
    crop_tensor,
    letterbox,
    letterbox_tensor,
    to_tensor,
)
from atpn_mobile.types import Roi

NCHW = InputSpec("image", (1, 3, 32, 32), "NCHW")
NHWC = InputSpec("image", (1, 32, 32, 3), "NHWC")


def picture(height=48, width=64):
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "got NoneType"),  # what cv2.imread gives for a missing file
        ([[[0, 0, 0]]], "got list"),
        (np.zeros((4, 4), np.uint8), r"\(4, 4\).*a grey picture.*color=\"grey\""),
        (np.zeros((4, 4, 1), np.uint8), "grey"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\).*alpha.*COLOR_RGBA2RGB"),
        (np.zeros((4, 4, 3), np.float32), r"dtype float32.*0\.\.255.*astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), np.float64), r"dtype float64.*0\.\.255.*astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), np.int8), "dtype int8"),
        (np.zeros((3, 4, 4), np.float64), r"\(3, 4, 4\)"),
        (np.zeros((3, 5, 7), np.uint8), r"\(3, 5, 7\)"),  # channels first
        (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),  # a batch
        (np.zeros(12, np.uint8), r"\(12,\)"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((4, 0, 3), np.uint8), "empty"),
        (np.zeros((MAX_FRAME_SIDE + 1, 1, 3), np.uint8), "no side above"),
    ],
)
def test_check_frame_refuses(frame, message):
    with pytest.raises(InvalidFrameError, match=r"\(H, W, 3\) and dtype uint8.*" + message):
        check_frame(frame)


def test_a_good_frame_is_not_copied():
    frame = picture()
    assert check_frame(frame) is frame


def test_a_grey_frame_has_two_axes_or_one_channel():
    grey = picture()[:, :, 0].copy()
    assert check_frame(grey, "grey") is grey
    np.testing.assert_array_equal(check_frame(grey[:, :, np.newaxis], "grey"), grey)
    with pytest.raises(InvalidFrameError, match=r'\(H, W\) and dtype uint8.*say color="rgb"'):
        check_frame(picture(), "grey")


def test_a_grey_frame_gives_the_same_as_one_with_three_equal_channels():
    grey = picture()[:, :, 0].copy()
    colours = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    roi = Roi(8.0, 6.0, 14.0, 0.3)
    np.testing.assert_array_equal(
        crop_tensor(grey, roi, NCHW, "grey"), crop_tensor(colours, roi, NCHW, "rgb")
    )
    np.testing.assert_array_equal(
        letterbox_tensor(grey, NCHW, "grey")[0], letterbox_tensor(colours, NCHW, "rgb")[0]
    )


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_a_turned_frame_is_letterboxed_upright(rotation_deg):
    upright = picture(24, 40)
    turned = np.ascontiguousarray(np.rot90(upright, rotation_deg // 90))  # counter-clockwise
    expected, _ = letterbox_tensor(upright, NCHW, "rgb")
    tensor, roi = letterbox_tensor(turned, NCHW, "rgb", rotation_deg)
    np.testing.assert_allclose(tensor, expected, atol=1.0)
    # the pixel in the corner of the upright frame, found again through the region
    corner = np.array([[0.5 / 40, (0.5 + 8) / 40]], np.float32)
    x, y = landmarks_to_frame(corner, roi)[0]
    np.testing.assert_array_equal(turned[round(float(y)), round(float(x))], upright[0, 0])


def test_a_mirrored_crop_is_the_crop_of_the_mirrored_frame():
    frame = picture(20, 30)
    roi = Roi(12.0, 9.0, 16.0)
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    np.testing.assert_allclose(
        crop_tensor(mirrored, Roi(29 - 12.0, 9.0, 16.0), NCHW, "rgb", mirrored=True),
        crop_tensor(frame, roi, NCHW, "rgb"),
        atol=1.0,
    )


@pytest.mark.parametrize(
    "view",
    [
        lambda frame: frame[:, ::-1],  # mirrored: a negative stride
        lambda frame: frame[::2, 1::3],
        lambda frame: frame[:, :, ::-1],  # channels swapped
        lambda frame: frame.transpose(1, 0, 2),
        np.asfortranarray,
    ],
)
def test_strides_do_not_matter(view):
    frame = view(picture())
    frame.flags.writeable = False
    plain = np.array(frame, order="C")
    roi = Roi(20.0, 15.0, 25.0, 0.3)
    for spec in (NCHW, NHWC):
        np.testing.assert_array_equal(
            crop_tensor(check_frame(frame), roi, spec, "rgb"), crop_tensor(plain, roi, spec, "rgb")
        )


def test_the_largest_frame_can_be_cropped():
    frame = np.zeros((3, MAX_FRAME_SIDE, 3), np.uint8)
    frame[:, -8:] = 200
    crop = crop_tensor(check_frame(frame), Roi(MAX_FRAME_SIDE - 4.0, 1.0, 2.0), NCHW, "rgb")
    assert crop.max() == 200


def test_tensor_layouts():
    square = picture(32, 32)
    planes, pixels = to_tensor(square, NCHW, "rgb"), to_tensor(square, NHWC, "rgb")
    assert planes.shape == NCHW.shape
    assert pixels.shape == NHWC.shape
    assert planes.dtype == pixels.dtype == np.float32
    assert planes.flags.c_contiguous
    assert pixels.flags.c_contiguous
    assert planes[0, 2, 7, 11] == pixels[0, 7, 11, 2] == square[7, 11, 2]


@pytest.mark.parametrize("spec", [NCHW, NHWC])
def test_color_order(spec):
    frame = picture()
    roi = Roi(30.0, 20.0, 30.0)
    rgb = crop_tensor(frame, roi, spec, "rgb")
    as_bgr = crop_tensor(np.ascontiguousarray(frame[:, :, ::-1]), roi, spec, "bgr")
    np.testing.assert_array_equal(as_bgr, rgb)
    assert (crop_tensor(frame, roi, spec, "bgr") != rgb).any()


def test_letterbox_of_a_camera_frame():
    frame = np.full((480, 640, 3), 200, np.uint8)
    square, roi = letterbox(frame, 256)
    assert square.shape == (256, 256, 3)
    assert square[32:224].min() == 200
    assert square[:32].max() == square[224:].max() == 0
    assert roi == Roi(319.5, 239.5, 640.0)


@pytest.mark.parametrize(
    ("height", "width"),
    [(480, 640), (640, 480), (100, 100), (61, 97), (720, 1280), (1, 1), (1, 900), (900, 1), (2, 3)],
)
@pytest.mark.parametrize("resolution", [128, 97])
def test_letterbox_of_any_frame_is_centred(height, width, resolution):
    square, roi = letterbox(np.full((height, width, 3), 255, np.uint8), resolution)
    rows, columns = np.nonzero(square[:, :, 0])
    assert rows.min() == resolution - 1 - rows.max()
    assert columns.min() == resolution - 1 - columns.max()
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == resolution
    assert (roi.center_x, roi.center_y) == ((width - 1) / 2, (height - 1) / 2)
    assert roi.size == max(height, width)


@given(st.integers(100, 700), st.integers(100, 700), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_letterbox_shows_its_region(height, width, x, y):
    point = np.array([[x * width, y * height]], np.float32)
    frame = np.zeros((height, width, 3), np.uint8)
    middle = (round(float(point[0, 0])), round(float(point[0, 1])))
    cv2.circle(frame, middle, 8, (255, 255, 255), -1)
    square, roi = letterbox(frame, 128)
    weights = square[:, :, 0].astype(np.float64)
    seen = [(weights.sum(axis) * (np.arange(128) + 0.5)).sum() / weights.sum() for axis in (0, 1)]
    expected = landmarks_to_crop(np.array([middle], np.float32), roi)[0] * 128
    assert np.abs(expected - seen).max() < 0.6  # pixels of the square: rounding of the bars


def test_letterbox_averages_when_it_shrinks():
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[::2] = 200  # stripes a lone sample would hit or miss
    square, _ = letterbox(frame, 80)
    assert set(np.unique(square)) == {80, 120}  # two or three bright rows of five


def test_letterbox_tensor():
    frame = picture(64, 64)
    tensor, roi = letterbox_tensor(frame, NCHW, "bgr")
    square, expected_roi = letterbox(frame, 32)
    np.testing.assert_array_equal(tensor, to_tensor(square, NCHW, "bgr"))
    assert roi == expected_roi


sides = st.one_of(
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
    st.tuples(st.integers(1, 3), st.integers(1, 20_000)),
    st.tuples(st.integers(1, 20_000), st.integers(1, 3)),
)
far = st.floats(-1e5, 1e5)


@given(sides, st.sampled_from([0, 90, 180, 270]), st.booleans())
def test_any_frame_can_be_letterboxed(shape, rotation_deg, grey):
    color = "grey" if grey else "rgb"
    frame = np.full(shape if grey else (*shape, 3), 255, np.uint8)
    tensor, roi = letterbox_tensor(check_frame(frame, color), NCHW, color, rotation_deg)
    assert tensor.shape == NCHW.shape
    assert tensor.max() == 255.0
    # the middle of the square is the middle of the frame
    middle = landmarks_to_frame(np.array([[0.5, 0.5]], np.float32), roi)[0]
    assert middle == pytest.approx([(shape[1] - 1) / 2, (shape[0] - 1) / 2], abs=1e-2)
    assert roi.size == max(shape)


@given(sides, far, far, st.floats(1e-3, 1e5), st.floats(-10.0, 10.0), st.booleans())
def test_any_region_can_be_cut_out(shape, x, y, size, rotation_rad, mirrored):
    frame = np.full((*shape, 3), 255, np.uint8)
    tensor = crop_tensor(frame, Roi(x, y, size, rotation_rad), NHWC, "bgr", mirrored=mirrored)
    assert tensor.shape == NHWC.shape
    assert tensor.dtype == np.float32
    assert 0.0 <= tensor.min() <= tensor.max() <= 255.0
    reach = size * 0.75 + 1.0  # more than half the diagonal, and what is blended with the outside
    if -reach > x or x > shape[1] + reach or -reach > y or y > shape[0] + reach:
        assert tensor.max() == 0.0
