"""Draw the page's icons into web_demo/public: a face of landmarks in the corners of a box.

python web_demo/tools/draw_icons.py
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PUBLIC = Path(__file__).resolve().parent.parent / "public"
BACKGROUND = (22, 17, 14)  # blue, green, red
ACCENT = (232, 219, 72)
WHITE = (245, 241, 238)
LARGE = 2048  # drawn large and scaled down: smooth edges


def curve(bends: list[tuple[float, float]]) -> NDArray[np.float64]:
    """A quadratic curve through a start, a control point and an end, in 0..1 of the icon."""
    start, control, end = (np.array(point) for point in bends)
    t = np.linspace(0.0, 1.0, 64)[:, None]
    points: NDArray[np.float64] = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return points


def draw(margin: float) -> NDArray[np.uint8]:
    """The icon; ``margin`` is the share of it left free at each side."""
    picture = np.full((LARGE, LARGE, 3), BACKGROUND, np.uint8)

    def place(points: NDArray[np.float64]) -> NDArray[np.int32]:
        inside = margin + (1.0 - 2.0 * margin) * np.asarray(points, float)
        return np.rint(inside * LARGE).astype(np.int32)

    width = round(0.05 * (1.0 - 2.0 * margin) * LARGE)
    for x, y in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)):
        dx, dy = (0.24 if x == 0.0 else -0.24), (0.24 if y == 0.0 else -0.24)
        corner = place(np.array([(x, y + dy), (x, y), (x + dx, y)]))
        cv2.polylines(picture, [corner], False, ACCENT, width, cv2.LINE_AA)
    jaw = np.concatenate(
        [
            curve([(0.2, 0.36), (0.2, 0.68), (0.36, 0.82)]),
            curve([(0.36, 0.82), (0.5, 0.92), (0.64, 0.82)]),
            curve([(0.64, 0.82), (0.8, 0.68), (0.8, 0.36)]),
        ]
    )
    mouth = curve([(0.37, 0.67), (0.5, 0.76), (0.63, 0.67)])
    nose = np.array([(0.5, 0.42), (0.5, 0.5), (0.5, 0.57)])
    brows = [
        curve([(0.26, 0.31), (0.34, 0.25), (0.43, 0.3)]),
        curve([(0.57, 0.3), (0.66, 0.25), (0.74, 0.31)]),
    ]
    dot = round(0.021 * (1.0 - 2.0 * margin) * LARGE)
    for line, count in ((jaw, 15), (mouth, 6), (nose, 3), (brows[0], 4), (brows[1], 4)):
        for index in np.linspace(0, len(line) - 1, count).astype(int):
            x, y = place(line[index : index + 1])[0]
            cv2.circle(picture, (int(x), int(y)), dot, WHITE, cv2.FILLED, cv2.LINE_AA)
    for eye in ((0.345, 0.405), (0.655, 0.405)):
        x, y = place(np.array([eye]))[0]
        cv2.circle(picture, (int(x), int(y)), 2 * dot, ACCENT, cv2.FILLED, cv2.LINE_AA)
    return picture


def main() -> None:
    """Write the PNG files."""
    PUBLIC.mkdir(exist_ok=True)
    for name, size, margin in (
        ("icon-192.png", 192, 0.17),
        ("icon-512.png", 512, 0.17),
        ("icon-maskable-512.png", 512, 0.25),
    ):
        scaled = cv2.resize(draw(margin), (size, size), interpolation=cv2.INTER_AREA)
        if not cv2.imwrite(str(PUBLIC / name), scaled, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
            raise SystemExit(f"expected to write {PUBLIC / name}, could not")


if __name__ == "__main__":
    main()
