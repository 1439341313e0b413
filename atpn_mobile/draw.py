"""Landmarks, head axes, box and label painted onto a frame.

``draw_result`` paints a whole result on a copy; the other ``draw_*`` functions paint one thing in
place, so that an application can build its own picture. They need a C-contiguous (H, W, 3) uint8
frame. Sizes follow the face, so that a face of 30 pixels and one of 600 both read well.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from atpn_mobile.config import Color
from atpn_mobile.errors import ConfigError
from atpn_mobile.geometry import ROI_EXTENSION
from atpn_mobile.landmarks import FACE_PARTS, LEFT_PUPIL, NOSE_BRIDGE, RIGHT_PUPIL
from atpn_mobile.preprocess import check_frame
from atpn_mobile.types import Face, FloatArray, Frame, HeadPose, Roi, TrackResult

Rgb: TypeAlias = tuple[int, int, int]  # always red, green, blue; reordered when painted

NOSE_TIP: Final = NOSE_BRIDGE.stop - 1

WHITE: Final[Rgb] = (255, 255, 255)
DARK: Final[Rgb] = (24, 26, 32)
FRONT_COLOR: Final[Rgb] = (232, 48, 48)  # red
LEFT_COLOR: Final[Rgb] = (52, 190, 70)  # green
UP_COLOR: Final[Rgb] = (52, 110, 246)  # blue

# One per track, in turn: bright, and none of them the red, green or blue of an axis.
TRACK_COLORS: Final[tuple[Rgb, ...]] = (
    (72, 219, 232),
    (255, 196, 61),
    (244, 132, 220),
    (196, 232, 92),
    (255, 150, 92),
    (186, 162, 255),
)

_SUBPIXEL_BITS: Final = 4  # OpenCV takes fixed-point coordinates: here sixteenths of a pixel
_FARTHEST_PIXEL: Final = 30_000.0  # keeps those coordinates inside OpenCV's integers
_OUTLINE_OPACITY: Final = 0.6  # the face stays visible below its lines
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_FONT_SCALE: Final = 0.36  # letters of about 8 pixels; below that they blur
_LARGEST_FONT_SCALE: Final = 1.0


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """What ``draw_result`` paints.

    Attributes:
        landmarks: the 98 points.
        outlines: the lines that join them.
        axes: the head's axes at the nose tip.
        box: the region the network looked at.
        label: track id, presence and angles.
        scale: factor on line widths, point and letter sizes, above 0.

    Raises:
        ConfigError: ``scale`` is not a finite number above 0.
    """

    landmarks: bool = True
    outlines: bool = True
    axes: bool = True
    box: bool = True
    label: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ConfigError(f"expected scale above 0, got {self.scale}")


class AxisTips(NamedTuple):
    """Where the head's axes end in the picture: three (x, y), frame pixels."""

    front: tuple[float, float]
    left: tuple[float, float]
    up: tuple[float, float]


def axis_tips(pose: HeadPose, origin: tuple[float, float], length: float) -> AxisTips:
    """Project the head's axes into the picture, without perspective.

    The axes are those of robotics and of the paper's figures, a right-handed set seen from the
    person: front (out of the face), left (the person's left, the right side of the picture when
    they look into the camera), up.

    Args:
        pose: orientation of the head.
        origin: where the axes start, frame pixels.
        length: length of an axis that lies in the picture plane, pixels.
    """
    # Columns of the rotation are the head's axes in the camera's: x right, y up, z to the camera.
    # Picture rows grow downwards, hence the minus.
    left, up, front = (
        (
            origin[0] + length * float(pose.rotation[0, axis]),
            origin[1] - length * float(pose.rotation[1, axis]),
        )
        for axis in range(3)
    )
    return AxisTips(front=front, left=left, up=up)


def track_color(track_id: int) -> Rgb:
    """Colour (red, green, blue) of a track; the same id always has the same one."""
    return TRACK_COLORS[track_id % len(TRACK_COLORS)]


def draw_landmarks(
    frame: Frame,
    landmarks: FloatArray,
    outline_color: Rgb = TRACK_COLORS[0],
    *,
    points: bool = True,
    outlines: bool = True,
    scale: float = 1.0,
    color: Color = "bgr",
) -> None:
    """Paint landmarks in place: thin half-transparent lines along the face, points on top.

    Args:
        frame: (H, W, 3) uint8, painted in place.
        landmarks: (98, 2), frame pixels.
        outline_color: red, green, blue of the lines.
        points: paint the points.
        outlines: paint the lines.
        scale: factor on widths.
        color: channel order of the frame.
    """
    size = float((landmarks.max(axis=0) - landmarks.min(axis=0)).max())
    if outlines:
        _draw_outlines(frame, landmarks, size, _channels(outline_color, color), scale)
    if points:
        radius = round(max(0.4, 0.0055 * size) * scale * (1 << _SUBPIXEL_BITS))
        for index, (x, y) in enumerate(_fixed_point(landmarks).tolist()):
            pupil = index in (RIGHT_PUPIL, LEFT_PUPIL)
            paint = _channels(outline_color if pupil else WHITE, color)
            grown = radius * 3 // 2 if pupil else radius
            cv2.circle(frame, (x, y), grown, paint, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_axes(
    frame: Frame,
    pose: HeadPose,
    origin: tuple[float, float],
    length: float,
    *,
    scale: float = 1.0,
    color: Color = "bgr",
) -> None:
    """Paint the head's axes in place: red to the front, green to its left, blue up.

    The axis that ends farthest from the camera is painted first. Each ends in a knob, so that
    one that points straight at the camera is still seen.

    Args:
        frame: (H, W, 3) uint8, painted in place.
        pose: orientation of the head.
        origin: where the axes start, frame pixels, usually the nose tip.
        length: length of an axis that lies in the picture plane, pixels.
        scale: factor on widths.
        color: channel order of the frame.
    """
    tips = axis_tips(pose, origin, length)
    to_camera = pose.rotation[2]
    axes = [
        (float(to_camera[0]), tips.left, LEFT_COLOR),
        (float(to_camera[1]), tips.up, UP_COLOR),
        (float(to_camera[2]), tips.front, FRONT_COLOR),
    ]
    width = _line_width(length, scale, share=0.035)
    rim = max(1, round(0.35 * width))
    start = _fixed_pair(origin)
    for _, tip, rgb in sorted(axes, key=lambda axis: axis[0]):
        end = _fixed_pair(tip)
        for paint, grown in (
            (_channels(DARK, color), rim),
            (_channels(rgb, color), 0),
        ):
            cv2.line(frame, start, end, paint, width + 2 * grown, cv2.LINE_AA, _SUBPIXEL_BITS)
            knob = round((1.1 * width + grown) * (1 << _SUBPIXEL_BITS))
            cv2.circle(frame, end, knob, paint, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_roi(
    frame: Frame,
    roi: Roi,
    line_color: Rgb = TRACK_COLORS[0],
    *,
    scale: float = 1.0,
    color: Color = "bgr",
) -> None:
    """Paint a region in place: a thin square with strong corners, turned as the region is.

    Args:
        frame: (H, W, 3) uint8, painted in place.
        roi: the region.
        line_color: red, green, blue.
        scale: factor on widths.
        color: channel order of the frame.
    """
    corners = _roi_corners(roi)
    paint = _channels(line_color, color)
    width = _line_width(roi.size, scale, share=0.003)
    cv2.polylines(frame, [_fixed_point(corners)], True, paint, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    for index in range(4):
        corner = corners[index]
        arms = [
            corner + 0.12 * (corners[index - 1] - corner),
            corner,
            corner + 0.12 * (corners[(index + 1) % 4] - corner),
        ]
        cv2.polylines(
            frame,
            [_fixed_point(np.array(arms))],
            False,
            paint,
            2 * width,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )


def draw_label(
    frame: Frame,
    lines: tuple[str, ...],
    anchor: tuple[float, float],
    accent: Rgb = TRACK_COLORS[0],
    *,
    font_scale: float = 0.5,
    color: Color = "bgr",
) -> None:
    """Paint lines of text on a dark plate in place, moved inside the frame where it would leave.

    Args:
        frame: (H, W, 3) uint8, painted in place.
        lines: the text, ASCII.
        anchor: where the plate's lower left corner goes, frame pixels.
        accent: red, green, blue of the bar at the plate's left side.
        font_scale: size of the letters; 1 is about 22 pixels high.
        color: channel order of the frame.
    """
    if not lines:
        return
    weight = 1 if font_scale < 0.8 else 2
    sizes = [cv2.getTextSize(line, _FONT, font_scale, weight) for line in lines]
    ascent = max(size[0][1] for size in sizes)
    row = ascent + max(size[1] for size in sizes) + 1
    margin = max(3, round(8 * font_scale))
    bar = max(2, round(5 * font_scale))
    plate_width = bar + 2 * margin + max(size[0][0] for size in sizes)
    plate_height = row * len(lines) + 2 * margin - 1

    height, width = frame.shape[:2]
    left = _inside(round(anchor[0]), plate_width, width)
    top = _inside(round(anchor[1]) - plate_height, plate_height, height)
    plate = frame[top : top + plate_height, left : left + plate_width]
    plate[:] = (0.25 * plate + 0.75 * np.array(_channels(DARK, color))).astype(np.uint8)
    plate[:, :bar] = _channels(accent, color)
    for index, line in enumerate(lines):
        base = (left + bar + margin, top + margin + ascent + index * row)
        cv2.putText(
            frame, line, base, _FONT, font_scale, _channels(WHITE, color), weight, cv2.LINE_AA
        )


def label_lines(face: Face) -> tuple[str, ...]:
    """The text of a face's label: id, presence and, in its frame, detection; then the angles.

    A face outside tracks has no id, and is always detected.
    """
    name = f"{100.0 * face.presence:.0f}%"
    if face.track_id >= 0:
        name = f"#{face.track_id}  {name}"
        if face.source == "detected":
            name += "  detected"
    pose = face.pose
    # Rounded to integers first: a float's format would write "-0".
    yaw, pitch, roll = round(pose.yaw_deg), round(pose.pitch_deg), round(pose.roll_deg)
    return name, f"yaw {yaw:+d}  pitch {pitch:+d}  roll {roll:+d}"


def draw_face(
    frame: Frame,
    face: Face,
    options: DrawOptions | None = None,
    *,
    color: Color = "bgr",
) -> None:
    """Paint one face in place.

    Args:
        frame: (H, W, 3) uint8, painted in place.
        face: what the tracker gave.
        options: what to paint; everything when left out.
        color: channel order of the frame.
    """
    options = options or DrawOptions()
    accent = track_color(face.track_id)
    face_size = face.roi.size / (1.0 + 2.0 * ROI_EXTENSION)
    if options.box:
        draw_roi(frame, face.roi, accent, scale=options.scale, color=color)
    if options.landmarks or options.outlines:
        draw_landmarks(
            frame,
            face.landmarks,
            accent,
            points=options.landmarks,
            outlines=options.outlines,
            scale=options.scale,
            color=color,
        )
    if options.axes:
        nose = (float(face.landmarks[NOSE_TIP, 0]), float(face.landmarks[NOSE_TIP, 1]))
        draw_axes(frame, face.pose, nose, 0.45 * face_size, scale=options.scale, color=color)
    if options.label:
        corners = _roi_corners(face.roi)
        left, top = corners.min(axis=0)
        font_scale = min(_LARGEST_FONT_SCALE, max(_SMALLEST_FONT_SCALE, face_size / 520.0))
        draw_label(
            frame,
            label_lines(face),
            (float(left), float(top) - 2.0),
            accent,
            font_scale=font_scale * options.scale,
            color=color,
        )


def draw_result(
    frame: Frame,
    result: TrackResult,
    options: DrawOptions | None = None,
    *,
    color: Color = "bgr",
) -> Frame:
    """Paint all faces of a result on a copy of its frame.

    Args:
        frame: (H, W, 3) uint8; not changed.
        result: what the tracker gave for this frame.
        options: what to paint; everything when left out.
        color: channel order of the frame, "bgr" (OpenCV's) or "rgb".

    Returns:
        (H, W, 3) uint8, a new array in the same channel order.

    Raises:
        InvalidFrameError: the frame is not (H, W, 3) uint8, or is empty.
    """
    painted = check_frame(frame).copy()
    for face in result.faces:
        draw_face(painted, face, options, color=color)
    return painted


def _draw_outlines(
    frame: Frame, landmarks: FloatArray, size: float, paint: Rgb, scale: float
) -> None:
    """Blend the lines of a face into the part of the frame that it covers."""
    width = _line_width(size, scale, share=0.004)
    left, top = (np.floor(landmarks.min(axis=0)).astype(int) - width - 1).clip(0).tolist()
    right, bottom = (np.ceil(landmarks.max(axis=0)).astype(int) + width + 2).clip(0).tolist()
    patch = frame[top:bottom, left:right]
    if patch.size == 0:
        return
    overlay = patch.copy()
    fixed = _fixed_point(landmarks - np.array((left, top), dtype=np.float32))
    for part, closed in FACE_PARTS:
        cv2.polylines(overlay, [fixed[part]], closed, paint, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    patch[:] = cv2.addWeighted(overlay, _OUTLINE_OPACITY, patch, 1.0 - _OUTLINE_OPACITY, 0.0)


def _channels(rgb: Rgb, color: Color) -> Rgb:
    return rgb if color == "rgb" else (rgb[2], rgb[1], rgb[0])


def _line_width(size: float, scale: float, *, share: float) -> int:
    return max(1, round(share * size * scale))


def _fixed_point(points: NDArray[np.floating]) -> NDArray[np.int32]:
    clipped = np.clip(points, -_FARTHEST_PIXEL, _FARTHEST_PIXEL)
    fixed: NDArray[np.int32] = np.rint(clipped * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    return fixed


def _fixed_pair(point: tuple[float, float]) -> tuple[int, int]:
    x, y = _fixed_point(np.array(point)).tolist()
    return x, y


def _roi_corners(roi: Roi) -> NDArray[np.float64]:
    """Corners (4, 2) of a region, frame pixels: left top, right top, right bottom, left bottom."""
    half = roi.size / 2.0
    cos, sin = half * math.cos(roi.rotation_rad), half * math.sin(roi.rotation_rad)
    return np.array(
        [
            (roi.center_x + cos * x - sin * y, roi.center_y + sin * x + cos * y)
            for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )


def _inside(start: int, length: int, available: int) -> int:
    """The start nearest to the one wanted that keeps ``length`` pixels inside the picture."""
    return max(0, min(start, available - length))
