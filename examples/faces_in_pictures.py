"""Find the faces of pictures and draw them.

    python examples/faces_in_pictures.py pictures/ drawn/
    python examples/faces_in_pictures.py crowd.jpg drawn/ --tiles 3     small faces as well

Each picture is looked at by itself; the drawn copies keep their names.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from atpn_mobile import AtpnError, DetectorConfig, FaceTracker, TrackerConfig
from atpn_mobile.draw import draw_result
from atpn_mobile.video import list_pictures, read_picture, write_picture


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 2 when a picture cannot be read or written."""
    parser = argparse.ArgumentParser(description="Find the faces of pictures and draw them.")
    parser.add_argument("pictures", type=Path, help="a picture or a folder of pictures")
    parser.add_argument("drawn", type=Path, help="the folder of the drawn copies")
    parser.add_argument("--tiles", type=int, default=1, help="for small faces: 2 or more")
    parser.add_argument("--max-faces", type=int, default=20)
    arguments = parser.parse_args(argv)
    try:
        config = TrackerConfig(
            color="bgr",
            max_faces=arguments.max_faces,
            detector=DetectorConfig(tiles=arguments.tiles),
        )
        folder = arguments.pictures
        paths = list_pictures(folder) if folder.is_dir() else [folder]
        arguments.drawn.mkdir(parents=True, exist_ok=True)
        with FaceTracker(config=config) as tracker:
            for path in paths:
                picture = read_picture(path)
                result = tracker.detect(picture)
                write_picture(
                    arguments.drawn / path.name, draw_result(picture, result, color="bgr")
                )
                sys.stdout.write(f"{path.name}: {len(result.faces)} faces\n")
                for face in result.faces:
                    left, top = face.landmarks.min(axis=0)
                    width, height = face.landmarks.max(axis=0) - (left, top)
                    sys.stdout.write(
                        f"  {width:.0f}x{height:.0f} at {left:.0f}, {top:.0f}, "
                        f"presence {face.presence:.2f}, yaw {face.pose.yaw_deg:+.0f} degrees\n"
                    )
    except (AtpnError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
