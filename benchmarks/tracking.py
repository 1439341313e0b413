"""``tracking``: how calm, quick and steady the tracker is, on clips and on composed scenes."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Final

import numpy as np

from atpn_mobile import AtpnError, DetectorConfig, FaceTracker, TrackerConfig
from atpn_mobile.types import Frame
from benchmarks.errors import BenchmarkError
from benchmarks.record import (
    ROOT,
    Record,
    Row,
    Table,
    Value,
    conditions,
    to_json,
    write_record,
)
from benchmarks.tables import columns_of, text_table
from benchmarks.tracking_clips import RATE_HZ, Clip, read_clip
from benchmarks.tracking_curve import curve_rows
from benchmarks.tracking_heads import Head, cut_out, scaled_to
from benchmarks.tracking_measures import (
    IN_VIEW,
    SeenFace,
    SeenFrame,
    Sightings,
    difference_percent,
    frames_to_recover,
    id_switches,
    lag_ms,
    longest_run,
    nme,
    recognise,
    shared_ids,
    track_ids,
    tracked_share,
    turn_deg,
)
from benchmarks.tracking_scenes import (
    LONG_ABSENCE,
    SHORT_ABSENCE,
    Scene,
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
from benchmarks.tracking_speed import TURNS, loop_rows

HELP: Final = "follow faces through clips and composed scenes: losses, ids, jitter, lag, time"
NOTE: Final = (
    "Rendered heads; composed scenes are made of them, so every place is known. Right: the "
    "landmarks' mean distance from the truth is at most half the interocular distance; false: a "
    "face is reported that is right for nobody who can be seen. Recovered on: the number of the "
    "frame, counted from the first that shows the face again, in which it is right. Jitter: root "
    "mean square of the landmarks' second differences, % of the interocular distance; it holds "
    "the motion's own changes, too. Step: the same of the differences between frames, of a still "
    "face. Lag: the shift that best aligns with the known motion, or with the raw landmarks. Loop "
    "times are host times, not of a phone."
)
PACKAGES: Final = (
    "atpn-mobile",
    "onnxruntime",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
)
CLIPS: Final = ROOT / "assets" / "clips"
SOLO: Final = CLIPS / "synthetic_solo.mp4"
PAIR: Final = CLIPS / "synthetic_pair.mp4"
HEAD_PX: Final = 150.0  # faces of the scenes with cut-out heads
SETTLED: Final = 30  # frames of a still scene before it is measured: the region and filters rest
SWAYS: Final = ((0.5, 0.3), (1.0, 0.2), (2.0, 0.1))  # times per second, face sizes to each side
SPEEDS: Final = (0.1, 0.3, 1.0)  # face sizes per second

# By name, for a number of faces.
SETTINGS: Final[Mapping[str, Callable[[int], TrackerConfig]]] = MappingProxyType(
    {
        "default": lambda faces: TrackerConfig(color="bgr", max_faces=faces),
        "no smoothing": lambda faces: TrackerConfig(color="bgr", max_faces=faces, smoothing=None),
        "fast": lambda faces: TrackerConfig.fast(color="bgr", max_faces=faces),
        "accurate": lambda faces: TrackerConfig.accurate(color="bgr", max_faces=faces),
        "tiles": lambda faces: TrackerConfig(
            color="bgr", max_faces=faces, detector=DetectorConfig(tiles=3)
        ),
    }
)
_TITLES: Final = {
    "scenes": "Finding, losing, recognising",
    "calm": "A still face",
    "lag": "A moving face",
    "crowd": "Small faces",
    "curve": "What the smoothing of landmarks leaves of the jitter, and how much lag it adds",
    "loop": "Time of one frame in which a face is followed (host)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "clips",
        nargs="*",
        type=Path,
        metavar="CLIP",
        help="videos, with labels beside them (.npz) or without; default: the bundled ones",
    )
    parser.add_argument("--backend", default="auto", metavar="ENGINE", help="default: auto")
    parser.add_argument(
        "--settings",
        nargs="+",
        choices=list(SETTINGS),
        default=list(SETTINGS),
        help="of the tracker; default: all",
    )
    parser.add_argument(
        "--no-scenes", dest="scenes", action="store_false", help="no composed scenes"
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=TURNS,
        help=f"rounds in which the loops are timed, 0 for none; default: {TURNS}",
    )
    parser.add_argument(
        "--mediapipe-python",
        type=Path,
        metavar="PATH",
        help="an interpreter with MediaPipe: its FaceMesh is timed by turns with ours",
    )
    parser.add_argument("--json", metavar="PATH", help="write the result there, - for the output")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write.

    Raises:
        BenchmarkError: a clip cannot be read, or an engine cannot be run.
    """
    if args.turns < 0:
        raise BenchmarkError(f"expected --turns of 0 or more, got {args.turns}")
    try:
        record = measure(args)
    except AtpnError as error:
        raise BenchmarkError(str(error)) from error
    if args.json == "-":
        sys.stdout.write(to_json(record))
        return 0
    if args.json:
        write_record(record, Path(args.json))
    sys.stdout.write(describe(record))
    return 0


def measure(args: argparse.Namespace) -> Record:
    """All tables that were asked for.

    Raises:
        AtpnError: an engine cannot be run.
        BenchmarkError: a clip cannot be read.
    """
    found: dict[str, list[Row]] = {name: [] for name in _TITLES}
    raw: dict[str, list[tuple[SeenFace, ...]]] = {"calm": [], "lag": []}
    for name, scene in scenes_of(args.clips or [SOLO, PAIR], composed=args.scenes):
        for setting in args.settings:
            seen = follow(scene, args.backend, SETTINGS[setting](scene.max_faces))
            if name in raw and setting == args.settings[0]:
                raw[name].append(_followed(scene, seen))
            row = {"scene": scene.name, "setting": setting}
            found[name].append({**row, **_MEASURES[name](scene, seen)})
    if args.scenes:
        found["curve"] += curve_rows(raw["calm"], raw["lag"], RATE_HZ, SETTLED)
    if args.turns:
        found["loop"] += loop_rows(read_clip(SOLO), args.turns, args.mediapipe_python)
    keys = {
        "loop": ("system", "precision"),
        "curve": ("min_cutoff_hz", "beta", "derivative_cutoff_hz"),
    }
    tables = {
        name: Table(keys.get(name, ("scene", "setting")), tuple(rows))
        for name, rows in found.items()
        if rows
    }
    settings = {"backend": args.backend, "turns": args.turns, "threads": 1}
    return Record("tracking", NOTE, _command(args), conditions(PACKAGES, **settings), tables)


def scenes_of(clips: Sequence[Path], *, composed: bool) -> Iterator[tuple[str, Scene]]:
    """The scenes one by one, each with the table it belongs to.

    Args:
        clips: videos.
        composed: whether composed scenes follow.

    Raises:
        BenchmarkError: a clip cannot be read.
    """
    for path in clips:
        yield "scenes", scene_of_clip(read_clip(path))
    if not composed:
        return
    solo, pair = read_clip(SOLO), read_clip(PAIR)
    one, other = (scaled_to(_head(*place), HEAD_PX) for place in ((solo, 0), (pair, 1)))
    yield "scenes", painted_out(solo)
    yield "scenes", jump_cut(solo)
    yield "scenes", crossing(one, other)
    yield "scenes", absence(one, SHORT_ABSENCE)
    yield "scenes", absence(one, LONG_ABSENCE)
    yield "scenes", other_person(one, other)
    yield "calm", still_noise(solo)
    yield "calm", still_coded(solo)
    for rate_hz, reach in SWAYS:
        yield "lag", swaying(solo, rate_hz, reach)
    for speed in SPEEDS:
        yield "lag", passing(solo, speed)
    yield "crowd", crowd([one, other])


def follow(scene: Scene, backend: str, config: TrackerConfig) -> list[SeenFrame]:
    """Run a tracker over a scene."""
    with FaceTracker(backend, config) as tracker:
        return [
            _seen(tracker, frame, index / scene.rate_hz)
            for index, frame in enumerate(scene.frames())
        ]


def _seen(tracker: FaceTracker, frame: Frame, timestamp_s: float) -> SeenFrame:
    result = tracker.track(frame, timestamp_s)
    faces = tuple(
        SeenFace(
            face.track_id,
            face.landmarks,
            face.raw_landmarks,
            face.pose.rotation,
            face.raw_pose.rotation,
        )
        for face in result.faces
    )
    return SeenFrame(faces, result.detector_ran)


def scene_row(scene: Scene, frames: Sequence[SeenFrame]) -> Row:
    """What was found, lost and confused; without a truth, what can be said without one."""
    row: dict[str, Value] = {
        "frames": len(frames),
        "detections": sum(frame.detector_ran for frame in frames),
    }
    if scene.landmarks is None or scene.visible is None:
        found = [bool(frame.faces) for frame in frames]
        people: Sequence[Sequence[SeenFace | None]] = [
            [frame.faces[0] if frame.faces else None for frame in frames]
        ]
        row |= {"tracked_percent": round(100.0 * float(np.mean(found)), 2)}
        return row | _jitter(people, scene.cuts)
    seen = recognise(frames, scene.landmarks, scene.visible)
    ids = track_ids(seen)
    row |= {
        "tracked_percent": round(100.0 * tracked_share(seen, scene.visible), 2),
        "false_frames": sum(number > 0 for number in seen.false),
        "recovered_on": frames_to_recover(seen, scene.visible, scene.cuts),
        "id_switches": id_switches(ids),
        "ids_per_person": round(float(np.mean([len(set(one)) for one in ids])), 2),
        "shared_ids": shared_ids(ids),
        "nme_percent": _nme_percent(seen, scene),
    }
    return row | _jitter(zip(*seen.faces, strict=True), scene.cuts)


def calm_row(scene: Scene, frames: Sequence[SeenFrame]) -> Row:
    """How much a still face trembles, raw and smoothed."""
    faces = _followed(scene, frames)[SETTLED:]
    row: dict[str, float] = {}
    for order, name in ((1, "step"), (2, "jitter")):
        raw = difference_percent(np.stack([face.raw_landmarks for face in faces]), order)
        smooth = difference_percent(np.stack([face.landmarks for face in faces]), order)
        row |= {
            f"raw_{name}_percent": round(raw, 4),
            f"{name}_percent": round(smooth, 4),
            f"{name}_share": round(smooth / raw, 4),
        }
    raw = turn_deg(np.stack([face.raw_rotation for face in faces]))
    smooth = turn_deg(np.stack([face.rotation for face in faces]))
    return {
        **row,
        "raw_turn_deg": round(raw, 4),
        "turn_deg": round(smooth, 4),
        "turn_share": round(smooth / raw, 4),
    }


def lag_row(scene: Scene, frames: Sequence[SeenFrame]) -> Row:
    """How late a moving face is: behind the truth, and behind the raw landmarks."""
    faces = _followed(scene, frames)
    raw = np.stack([face.raw_landmarks for face in faces])
    smooth = np.stack([face.landmarks for face in faces])
    if scene.landmarks is None:
        raise BenchmarkError(f"expected a scene with a truth, got {scene.name}")
    truth = scene.landmarks[:, 0]
    # A constant error of the place is no lag. The faces come back, so it shows in the mean.
    moves = raw - raw.mean(axis=0), smooth - raw.mean(axis=0), truth - truth.mean(axis=0)
    return {
        "speed": None if scene.speed is None else round(scene.speed, 3),
        "raw_lag_ms": round(lag_ms(moves[0], moves[2], scene.rate_hz), 1),
        "lag_ms": round(lag_ms(moves[1], moves[2], scene.rate_hz), 1),
        "behind_raw_ms": round(lag_ms(smooth, raw, scene.rate_hz), 1),
    }


def crowd_row(scene: Scene, frames: Sequence[SeenFrame]) -> Row:
    """How many of many faces were found in the last frame."""
    if scene.landmarks is None or scene.visible is None:
        raise BenchmarkError(f"expected a scene with a truth, got {scene.name}")
    seen = recognise(frames, scene.landmarks, scene.visible)
    sizes = np.ptp(scene.landmarks[0], axis=1).max(axis=1)
    height = next(scene.frames()).shape[0]
    return {
        "faces": len(sizes),
        "smallest_percent": round(100.0 * float(sizes.min()) / height, 2),
        "largest_percent": round(100.0 * float(sizes.max()) / height, 2),
        "found": sum(face is not None for face in seen.faces[-1]),
        "false_faces": seen.false[-1],
    }


_MEASURES: Final[Mapping[str, Callable[[Scene, Sequence[SeenFrame]], Row]]] = MappingProxyType(
    {"scenes": scene_row, "calm": calm_row, "lag": lag_row, "crowd": crowd_row}
)


def describe(record: Record) -> str:
    """A record as text for the terminal."""
    text = f"{record.conditions.machine}\n"
    for name, table in record.tables.items():
        text += f"\n{_TITLES[name]}\n\n{text_table(table.rows, columns_of(table.rows))}"
    return text


def _command(args: argparse.Namespace) -> str:
    parts = ["python -m benchmarks tracking", *map(str, args.clips)]
    parts += [] if args.backend == "auto" else [f"--backend {args.backend}"]
    parts += (
        []
        if len(args.settings) == len(SETTINGS)
        else [f"--settings {' '.join(map(quote, args.settings))}"]
    )
    parts += [] if args.scenes else ["--no-scenes"]
    parts += [] if args.turns == TURNS else [f"--turns {args.turns}"]
    parts += ["--mediapipe-python PATH"] if args.mediapipe_python else []
    return " ".join([*parts, "--json PATH"])


def _head(clip: Clip, person: int) -> Head:
    """A person of a clip's first frame.

    Raises:
        BenchmarkError: the clip has no labels.
    """
    if clip.landmarks is None:
        raise BenchmarkError(f"expected a clip with labels, got {clip.name}")
    return cut_out(clip.frames[0], clip.landmarks[0, person])


def _followed(scene: Scene, frames: Sequence[SeenFrame]) -> tuple[SeenFace, ...]:
    """The one face of a scene in all of its frames.

    Raises:
        BenchmarkError: it was lost.
    """
    faces = longest_run([frame.faces[0] if frame.faces else None for frame in frames])
    if len(faces) != len(frames):
        raise BenchmarkError(
            f"expected the face of {scene.name!r} in {len(frames)} frames, got {len(faces)}"
        )
    return faces


def _nme_percent(seen: Sightings, scene: Scene) -> float | None:
    """Of the faces in view that were found."""
    if scene.landmarks is None or scene.visible is None:
        return None
    errors = [
        nme(face.landmarks, truth)
        for faces, people, shares in zip(seen.faces, scene.landmarks, scene.visible, strict=True)
        for face, truth, share in zip(faces, people, shares, strict=True)
        if face is not None and share >= IN_VIEW
    ]
    return round(100.0 * float(np.mean(errors)), 3) if errors else None


def _jitter(people: Iterable[Sequence[SeenFace | None]], cuts: Sequence[int]) -> dict[str, Value]:
    """Of the longest stretch in which one face was followed; not across a cut, which is none."""
    faces = max(map(longest_run, people), key=len)
    if len(faces) <= SETTLED or cuts:
        return {}
    raw = difference_percent(np.stack([face.raw_landmarks for face in faces]), 2)
    smooth = difference_percent(np.stack([face.landmarks for face in faces]), 2)
    return {"raw_jitter_percent": round(raw, 4), "jitter_percent": round(smooth, 4)}
