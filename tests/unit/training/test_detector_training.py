"""Training and evaluation of the detector on packs that the test writes itself."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from atpn_mobile.config import DetectorConfig as RuntimeConfig
from training.__main__ import main
from training.checkpoint import CHECKPOINT, CURVE, LOG, RECIPE
from training.data.sample import DatasetError
from training.detection.compose import ComposeConfig, ComposedFrame, FrameComposer
from training.detection.evaluate import (
    FRAME_SIZE,
    EvaluationFrame,
    OperatingPoint,
    build_frames,
    detect,
    evaluate_detector,
    format_report,
    load_detector,
    pick_threshold,
    report_as_json,
)
from training.detection.pictures import FACE_SOURCES, load_library
from training.detection.train import (
    WEIGHTS,
    DetectorRun,
    DetectorTrainConfig,
    load_batches,
    train_detector,
)
from training.network.config import BlockConfig
from training.network.detector import Detector, DetectorConfig, DetectorOutput
from training.weights import WeightsError, save_weights

TINY = DetectorConfig(
    input_size=64,
    stem=8,
    stage4=(BlockConfig(3, 8, 16, 2, "relu"),),
    stage8=(BlockConfig(3, 16, 24, 2, "relu"),),
    stage16=(BlockConfig(3, 24, 32, 2),),
    stage32=(BlockConfig(3, 32, 32, 2),),
    fused=16,
    merge=(BlockConfig(3, 16, 16),),
    head=(BlockConfig(3, 16, 16),),
)


def draw_face(image, center, size):
    """Head, eyes and mouth; returns the landmarks' box."""
    x, y = center
    axes = (round(0.36 * size), round(0.5 * size))
    cv2.ellipse(image, (x, y), axes, 0.0, 0.0, 360.0, (220, 180, 150), -1)
    for side in (-1, 1):
        eye = (x + side * round(0.15 * size), y - round(0.1 * size))
        cv2.circle(image, eye, max(1, round(0.06 * size)), (20, 20, 20), -1)
    mouth = (x, y + round(0.25 * size))
    cv2.ellipse(image, mouth, (round(0.15 * size), 2), 0.0, 0.0, 360.0, (160, 40, 40), -1)
    return np.array([x - axes[0], y - axes[1], x + axes[0], y + axes[1]], np.float32)


def face_sample(rng):
    image = np.full((96, 96, 3), rng.integers(0, 120, 3), np.uint8)
    box = draw_face(image, (48, 48), 50)
    points = rng.uniform(box[:2], box[2:], (98, 2)).astype(np.float32)
    angle = np.linspace(np.pi, 0.0, 33)
    points[:33] = 48 + np.stack([np.cos(angle) * 18, np.sin(angle) * 25], axis=1)
    points[40], points[41] = box[:2], box[2:]
    return image, points


def write_pack(path, rng, *, faces):
    encoded, points = [], []
    for _ in range(6):
        if faces:
            image, labels = face_sample(rng)
            points.append(labels)
        else:
            image = rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)
        encoded.append(cv2.imencode(".png", image)[1].ravel())
    arrays = {
        "jpeg": np.concatenate(encoded),
        "offset": np.cumsum([0, *map(len, encoded)]),
        "name": np.array([f"p{i}" for i in range(6)]),
        "split": np.array(["val" if i < 2 else "train" for i in range(6)]),
    }
    np.savez(path, **arrays, **({"points98": np.stack(points)} if faces else {}))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    rng = np.random.default_rng(0)
    for source in FACE_SOURCES:
        write_pack(folder / f"{source.pack}.npz", rng, faces=True)
    for pack in ("backgrounds", "negatives_back_of_head"):
        write_pack(folder / f"{pack}.npz", rng, faces=False)
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def options(data, out, **changes):
    settings = {
        "steps": 4,
        "batch": 2,
        "workers": 0,
        "threads": 1,
        "checkpoint_every": 2,
        "validate_every": 2,
        "network": TINY,
        "compose": ComposeConfig(input_size=64),
    }
    return DetectorTrainConfig(data=data, out=out, **(settings | changes))


# --- learning ----------------------------------------------------------------------------------


class FixedFrames:
    """Four frames for ever: one face each, at another place and size."""

    def compose(self, index):
        index %= 4
        image = np.full((64, 64, 3), 40 + 30 * index, np.uint8)
        center = ((18, 20), (44, 22), (24, 42), (40, 40))[index]
        box = draw_face(image, center, (18, 24, 30, 22)[index])
        nothing = np.zeros((0, 4), np.float32)
        return ComposedFrame(image, (box[None] + 0.5) / 64.0, nothing)


def test_a_handful_of_frames_can_be_learned(tmp_path):
    run = DetectorRun(options(tmp_path, tmp_path, steps=160, batch=4, learning_rate=0.01))
    torch.manual_seed(0)
    losses = [float(run.train_on(b).total) for b in load_batches(FixedFrames(), run.config, 0)]

    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
    frames = [FixedFrames().compose(index) for index in range(4)]
    evaluation = [
        EvaluationFrame(f.image, f.faces_xyxy * 64.0 - 0.5, "large", "drawn") for f in frames
    ]
    report = evaluate_detector(run.network, [*evaluation, _empty_frame()])
    at_half = next(point for point in report.points if point.threshold == 0.5)
    assert at_half.recall_large == 1.0


def _empty_frame():
    image = np.full((64, 64, 3), 90, np.uint8)
    return EvaluationFrame(image, np.zeros((0, 4), np.float32), "background", "none")


def test_batches_go_on_where_a_run_stopped(data, tmp_path):

    config = options(data, tmp_path)
    composer = FrameComposer(load_library(data, "train"), config.compose, config.seed)
    whole = list(load_batches(composer, config, 0))
    rest = list(load_batches(composer, config, 2))

    assert len(whole) == 4
    assert len(rest) == 2
    for expected, got in zip(whole[2:], rest, strict=True):
        for a, b in zip(expected, got, strict=True):
            torch.testing.assert_close(a, b)


# --- a whole run -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return train_detector(options(data, out))


def test_a_run_leaves_everything_it_promises(finished):
    out = finished.parent
    records = [json.loads(line) for line in (out / LOG).read_text().splitlines()]

    assert finished.name == WEIGHTS
    assert {path.name for path in out.iterdir()} == {CHECKPOINT, CURVE, LOG, RECIPE, WEIGHTS}
    recipe = json.loads((out / RECIPE).read_text())
    assert (recipe["steps"], recipe["batch"], recipe["seed"]) == (4, 2, 1)
    assert recipe["network"] == "detector"
    assert recipe["config"]["input_size"] == recipe["compose"]["input_size"] == 64
    assert "data" not in recipe
    assert [record["step"] for record in records] == [2, 4]
    assert records[-1]["crops"] == 8
    assert np.isfinite(records[-1]["loss"])
    assert cv2.imread(str(out / CURVE)).size > 0


def test_weights_say_which_network_they_are(finished):
    detector = load_detector(finished)

    assert detector.config == TINY
    assert not detector.training


def test_a_seed_gives_the_same_weights_and_another_one_others(data, tmp_path, finished):
    again = load_detector(train_detector(options(data, tmp_path / "again"))).state_dict()
    other = load_detector(train_detector(options(data, tmp_path / "other", seed=2))).state_dict()
    first = load_detector(finished).state_dict()

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_resumed_run_ends_as_an_uninterrupted_one(data, tmp_path, finished, monkeypatch):
    step = DetectorRun.train_on

    def interrupted(run, batch):
        if run.step == 3:
            raise KeyboardInterrupt
        return step(run, batch)

    monkeypatch.setattr(DetectorRun, "train_on", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_detector(options(data, tmp_path))
    monkeypatch.undo()
    resumed = load_detector(train_detector(options(data, tmp_path, resume=True))).state_dict()

    whole = load_detector(finished).state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    steps = [json.loads(line)["step"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert steps == [2, 4]


def test_a_new_run_starts_a_new_log(data, tmp_path):
    train_detector(options(data, tmp_path, steps=2))
    with pytest.raises(DatasetError, match="another --out"):
        train_detector(options(data, tmp_path, steps=2))
    (tmp_path / CHECKPOINT).unlink()
    train_detector(options(data, tmp_path, steps=2))

    assert len((tmp_path / LOG).read_text().splitlines()) == 1


def test_resuming_needs_a_checkpoint(data, tmp_path):
    with pytest.raises(DatasetError, match="found none"):
        train_detector(options(data, tmp_path, resume=True))


def test_resuming_needs_a_checkpoint_of_the_same_run(data, tmp_path):
    train_detector(options(data, tmp_path, steps=2))

    with pytest.raises(DatasetError, match="steps was 2, is 3"):
        train_detector(options(data, tmp_path, steps=3, resume=True))


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch", 1), ("workers", -1), ("threads", 0), ("seed", -1)]
)
def test_impossible_options_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"expected {name} of"):
        options(tmp_path, tmp_path, **{name: value})


def test_frames_must_fit_the_network(tmp_path):
    with pytest.raises(ValueError, match="input size"):
        options(tmp_path, tmp_path, compose=ComposeConfig(input_size=128))


# --- pictures ----------------------------------------------------------------------------------


def test_splits_are_kept_apart(data):
    train, val = load_library(data, "train"), load_library(data, "val")

    assert {len(pictures) for pictures in train.faces.values()} == {4}
    assert {len(pictures) for pictures in val.faces.values()} == {2}
    assert len(train.backgrounds) == 4
    assert not train.faces["faces_helen"][0].alone
    assert train.faces["faces_ytf"][0].alone


def test_a_limit_takes_fewer(data):
    assert {len(p) for p in load_library(data, "train", limit=3).faces.values()} == {3}


def test_a_missing_pack_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"faces_helen\.npz"):
        load_library(tmp_path, "train")


def test_an_empty_split_is_said(data):
    with pytest.raises(DatasetError, match='split "nothing"'):
        load_library(data, "nothing")


# --- evaluation --------------------------------------------------------------------------------


def test_evaluation_frames_are_what_they_say(data):
    frames = build_frames(load_library(data, "val"))
    parts = [frame.part for frame in frames]

    # helen and ytf twice, synthetic once: 2 pictures each
    assert parts.count("small") == parts.count("large") == 2 + 2 + 1
    assert parts.count("background") == parts.count("back_of_head") == 2
    width, height = FRAME_SIZE
    for frame in frames:
        assert frame.frame.shape == (height, width, 3)
        if frame.part in ("small", "large"):
            left, top, right, bottom = frame.face_xyxy[0]
            low, high = (20, 32) if frame.part == "small" else (32, 200)
            assert low - 0.01 <= max(right - left, bottom - top) <= high + 0.01
            assert left >= -1.0
            assert top >= -1.0
            assert right <= width
            assert bottom <= height
        else:
            assert len(frame.face_xyxy) == 0


def test_evaluation_frames_repeat(data):
    first, second = (build_frames(load_library(data, "val")) for _ in range(2))

    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.face_xyxy, b.face_xyxy)


class Oracle(Detector):
    """Answers with a list of (box in 0..1, score), the same for every frame."""

    def __init__(self, answers):
        super().__init__(TINY)
        self.answers = answers

    def forward(self, image):
        boxes = torch.zeros(len(image), 64, 4)
        scores = torch.zeros(len(image), 64)
        for index, (box, score) in enumerate(self.answers):
            boxes[:, index] = torch.tensor(box)
            scores[:, index] = score
        return DetectorOutput(boxes, scores)


def frame_with(part, *box):
    faces = np.array(box, np.float32).reshape(-1, 4)
    return EvaluationFrame(np.zeros((240, 320, 3), np.uint8), faces, part, part)


def test_boxes_come_back_to_the_frame():
    # the middle quarter of the letterboxed square: 80 pixels of 320 around the frame's centre
    found = detect(Oracle([((0.375, 0.375, 0.625, 0.625), 0.9)]), [frame_with("large").frame])

    boxes, scores = found[0]
    np.testing.assert_allclose(boxes, [[119.5, 79.5, 199.5, 159.5]], atol=1e-3)
    np.testing.assert_allclose(scores, [0.9], atol=1e-6)


def test_counts_at_each_threshold():
    hit = (0.375, 0.375, 0.625, 0.625)
    face = (119.5, 79.5, 199.5, 159.5)
    frames = [
        frame_with("large", *face),
        frame_with("large", 0, 0, 40, 40),  # missed
        frame_with("small", *face),
        frame_with("background"),
        frame_with("back_of_head"),
    ]
    report = evaluate_detector(Oracle([(hit, 0.62), ((0.0, 0.4, 0.1, 0.5), 0.32)]), frames)
    points = {point.threshold: point for point in report.points}
    assert json.loads(json.dumps(report_as_json(report)))["points"][0]["false_boxes"] > 0

    assert (points[0.6].recall_large, points[0.6].recall_small) == (0.5, 1.0)
    assert (points[0.65].recall_large, points[0.65].recall_small) == (0.0, 0.0)
    assert (points[0.3].false_boxes, points[0.3].false_heads) == (2, 2)
    assert (points[0.35].false_boxes, points[0.65].false_boxes) == (1, 0)
    assert report.threshold == 0.65  # the first without a false box
    assert report.faces == {"small": 1, "large": 2}


def point(threshold, small, large, false_boxes):
    return OperatingPoint(threshold, small, large, {}, false_boxes, 0)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        # 0.2 to 0.4 meet all goals: the middle one
        (
            [
                point(0.1, 1.0, 1.0, 90),
                point(0.2, 0.9, 0.99, 5),
                point(0.3, 0.9, 0.98, 3),
                point(0.4, 0.85, 0.96, 1),
                point(0.5, 0.7, 0.9, 0),
            ],
            0.3,
        ),
        # none does: the lowest that is quiet enough, 5 of 100 at most
        ([point(0.1, 0.9, 0.9, 6), point(0.2, 0.7, 0.8, 5), point(0.3, 0.6, 0.7, 0)], 0.2),
        # never quiet: the highest
        ([point(0.1, 1.0, 1.0, 50), point(0.2, 1.0, 1.0, 40)], 0.2),
    ],
)
def test_threshold_to_use(points, expected):
    assert pick_threshold(points, 100) == expected


def test_report_for_people_and_machines(data):
    report = evaluate_detector(Detector(TINY), build_frames(load_library(data, "val")))
    values = json.loads(json.dumps(report_as_json(report)))
    table = format_report(report)

    assert len(values["points"]) == len(report.points)
    assert values["chosen"]["threshold"] == report.threshold
    marked = {line.split()[0]: line for line in table.splitlines() if "<" in line}
    default = RuntimeConfig().score_threshold
    assert "best" in marked[f"{report.threshold:.2f}"]
    assert "default of the runtime" in marked[f"{default:.2f}"]
    assert values["shipped"]["threshold"] == default
    assert values["shipped"] == next(p for p in values["points"] if p["threshold"] == default)
    assert "faces_helen small" in table


def test_evaluating_leaves_the_mode_alone(data):
    detector = Detector(TINY).train()
    evaluate_detector(detector, [*build_frames(load_library(data, "val"))[:2], _empty_frame()])

    assert detector.training


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights(torch.nn.Linear(2, 2), path, {"network": "other"})

    with pytest.raises(WeightsError, match="expected the weights of a detector"):
        load_detector(path)


def test_a_configuration_that_does_not_match_the_tensors_is_refused(tmp_path):
    path = tmp_path / "mixed.safetensors"
    wide = dataclasses.replace(TINY, stem=16, stage4=(BlockConfig(3, 16, 16, 2, "relu"),))
    save_weights(Detector(TINY), path, {"config": wide.to_json()})

    with pytest.raises(WeightsError, match="expected the weights of Detector"):
        load_detector(path)


# --- command -----------------------------------------------------------------------------------


def test_evaluate_command(data, finished, tmp_path, capsys):

    target = tmp_path / "report.json"
    shared = ["evaluate", "--weights", str(finished), "--data", str(data), "--threads", "1"]
    assert main([*shared, "--json", str(target)]) == 0
    assert "threshold" in capsys.readouterr().out
    assert main([*shared, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(target.read_text())


@pytest.mark.parametrize("option", [("--steps", "0"), ("--batch", "one"), ("--limit", "-3")])
def test_train_command_refuses_impossible_options(data, tmp_path, option, capsys):

    with pytest.raises(SystemExit):
        main(
            ["train", "--recipe", "detector", "--data", str(data), "--out", str(tmp_path), *option]
        )
    assert "expected a number of" in capsys.readouterr().err
