"""What surrounds the protocols: predictors, the runtime's backends, tables, curves, the command."""

import json

import cv2
import numpy as np
import pytest
import torch

from atpn_mobile.backends.base import check_outputs
from atpn_mobile.errors import ModelMismatchError
from atpn_mobile.geometry import crop_frame, landmarks_to_frame
from atpn_mobile.preprocess import crop_tensor
from atpn_mobile.types import Roi
from training.__main__ import main
from training.data.sample import DatasetError
from training.files import replacing
from training.metrics import precision_recall_curve, reliability_bins
from training.network.asmnet import AsmNet
from training.network.atpn import Atpn
from training.network.detector import Detector
from training.protocols.curves import draw_curves, wilson_interval
from training.protocols.predictor import (
    NetworkPredictor,
    Prediction,
    load_predictor,
    predict_crops,
    predict_faces,
)
from training.protocols.published import (
    ATPN,
    ATPN_NUMBERS,
    PUBLISHED,
    WFLW_SUBSETS,
    Published,
    published,
)
from training.protocols.registry import (
    PROTOCOLS,
    EvaluationProtocol,
    ProtocolReport,
    run_protocol,
)
from training.protocols.report import format_report, report_as_json
from training.protocols.results import (
    ErrorCurves,
    PrecisionRecallCurves,
    ProtocolResult,
    ReliabilityPlot,
    Row,
)
from training.protocols.runtime import (
    DetectorBackend,
    PredictorBackend,
    TruthDetector,
    open_detector,
)
from training.weights import WeightsError, save_weights

# ---- predictors --------------------------------------------------------------------------------


class Counting:
    """Landmarks are the mean of the crop; counts its calls."""

    name = "counting"
    input_size = 8
    has_pose = False
    has_presence = False

    def __init__(self):
        self.batches = []

    def predict(self, images):
        self.batches.append(len(images))
        means = np.array([image.mean() for image in images], np.float32)
        return Prediction(np.tile(means[:, None, None], (1, 98, 2)), None, None)


def crops(count, size=8):
    return (np.full((size, size, 3), index, np.uint8) for index in range(count))


def test_any_number_of_crops_in_order():
    predictor = Counting()
    found = predict_crops(predictor, crops(150))
    np.testing.assert_array_equal(found.landmarks[:, 5, 1], np.arange(150))
    assert found.pose is None
    assert found.presence is None
    assert max(predictor.batches) == 64  # and so no more than that is held


def test_no_crops():
    with pytest.raises(ValueError, match="at least one crop"):
        predict_crops(Counting(), [])


class Picture:
    def __init__(self, grey):
        self.grey = grey

    def read(self):
        return np.full((20, 30, 3), self.grey, np.uint8)


def test_faces_come_back_in_the_pixels_of_their_pictures():
    roi = Roi(10.0, 8.0, 4.0)
    found = predict_faces(Counting(), [Picture(0), Picture(1)], [roi, roi])
    np.testing.assert_allclose(found.landmarks[0], landmarks_to_frame(np.zeros((98, 2)), roi))
    np.testing.assert_allclose(found.landmarks[1, 0], (12.0, 10.0))  # crop units 1, 1: a corner


@pytest.mark.parametrize(
    ("network", "name", "size", "presence"),
    [(Atpn, "atpn", 112, True), (AsmNet, "asmnet", 224, False)],
)
def test_every_network_is_a_predictor(tmp_path, network, name, size, presence):
    torch.manual_seed(0)
    trained = network()
    path = tmp_path / "weights.safetensors"
    save_weights(trained, path, {"network": name})

    predictor = load_predictor(path)

    assert (predictor.name, predictor.input_size) == (name, size)
    assert (predictor.has_pose, predictor.has_presence) == (True, presence)
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    found = predictor.predict([image, image[::-1]])
    assert found.landmarks.shape == (2, 98, 2)
    assert found.pose.shape == (2, 3)
    assert (found.presence is None) == (not presence)
    with torch.inference_mode():
        batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2).float()
        expected = trained.eval()(batch).landmarks.numpy()
    np.testing.assert_allclose(found.landmarks[:1], expected, atol=1e-5)


def test_a_network_in_training_stays_in_training():
    network = Atpn()
    network.train()
    network.pose.eval()
    NetworkPredictor("x", network).predict([np.zeros((112, 112, 3), np.uint8)])
    assert network.backbone.training
    assert not network.pose.training


def test_weights_of_a_network_without_landmarks(tmp_path):
    path = tmp_path / "detector.safetensors"
    save_weights(Detector(), path, {"network": "detector"})
    with pytest.raises(WeightsError, match="'detector'"):
        load_predictor(path)


# ---- backends of the runtime -------------------------------------------------------------------


class Echo:
    """Remembers the crop it was given."""

    name = "echo"
    input_size = 16

    def __init__(self, *, known=True):
        self.has_pose = self.has_presence = known

    def predict(self, images):
        self.images = images
        count = len(images)
        return Prediction(
            np.full((count, 98, 2), 0.25, np.float32),
            np.full((count, 3), 0.5, np.float32) if self.has_pose else None,
            np.full(count, 0.75, np.float32) if self.has_presence else None,
        )


def test_backend_hands_the_runtimes_crop_on_unchanged():
    predictor = Echo()
    backend = PredictorBackend(predictor)
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    roi = Roi(20.0, 18.0, 25.0)

    outputs = backend.run({"image": crop_tensor(frame, roi, backend.spec.input, "rgb")})

    check_outputs(backend.spec, outputs)
    np.testing.assert_array_equal(predictor.images[0], crop_frame(frame, roi, 16))
    assert outputs["presence"].tolist() == [[0.75]]
    assert outputs["pose"].tolist() == [[0.5, 0.5, 0.5]]


def test_backend_of_a_network_with_landmarks_alone():
    backend = PredictorBackend(Echo(known=False))
    outputs = backend.run({"image": np.zeros((1, 3, 16, 16), np.float32)})
    check_outputs(backend.spec, outputs)
    assert outputs["presence"].tolist() == [[1.0]]
    assert outputs["pose"].tolist() == [[0.0, 0.0, 0.0]]


def test_backends_check_their_input():
    for backend in (PredictorBackend(Echo()), DetectorBackend(Detector().eval())):
        with pytest.raises(ModelMismatchError):
            backend.run({"image": np.zeros((1, 3, 8, 8), np.float32)})
        backend.close()


def test_detector_backend_is_the_detector():
    torch.manual_seed(1)
    detector = Detector().eval()
    backend = DetectorBackend(detector)
    image = np.random.default_rng(0).uniform(0, 255, backend.spec.input.shape).astype(np.float32)
    outputs = backend.run({"image": image})
    check_outputs(backend.spec, outputs)
    with torch.inference_mode():
        np.testing.assert_allclose(outputs["boxes"], detector(torch.from_numpy(image)).boxes)


def test_no_weights_no_detections(tmp_path):
    detector = open_detector(None)
    assert detector.detect(np.zeros((8, 8, 3), np.uint8)) == ()
    with pytest.raises(WeightsError):
        open_detector(tmp_path / "nowhere")


def test_truth_stands_in_for_the_detector():
    detector = TruthDetector()
    detector.landmarks = np.array([[1, 2], [5, 9]], np.float32)
    (found,) = detector.detect(np.zeros((8, 8, 3), np.uint8))
    assert found.box_xyxy == (1.0, 2.0, 5.0, 9.0)
    assert detector.calls == 1


# ---- published numbers -------------------------------------------------------------------------


def test_no_number_without_a_source():
    assert all(entry.source and entry.system for entry in PUBLISHED)


def test_numbers_of_the_paper_fill_slots():
    slots = {(e.protocol, e.subset, e.measure) for e in PUBLISHED if e.system == ATPN}
    assert set(ATPN_NUMBERS) <= slots


def test_one_number_per_place():
    places = [(e.protocol, e.subset, e.measure, e.system) for e in PUBLISHED]
    assert len(places) == len(set(places))


def test_published_numbers_belong_to_protocols():
    assert {entry.protocol for entry in PUBLISHED} <= set(PROTOCOLS)
    assert {e.subset for e in published("wflw") if e.system == ATPN} == set(WFLW_SUBSETS)


# ---- reports -----------------------------------------------------------------------------------


@pytest.fixture
def entries(monkeypatch):
    entries = (
        Published("demo", "test", "NME", "Paper", None, "a paper"),
        Published("demo", "test", "NME", "Peer", 4.5, "a peer"),
        Published("demo", "elsewhere", "NME", "Peer", 9.0, "a peer"),
    )
    for module in ("report", "registry"):
        monkeypatch.setattr(
            f"training.protocols.{module}.published",
            lambda name: tuple(e for e in entries if e.protocol == name),
        )
    return entries


def demo_report(rows, **changes):
    return ProtocolReport("demo", "a demo", "ours", ProtocolResult(tuple(rows), **changes))


def test_table_sets_published_numbers_beside_ours(entries):
    rows = [
        Row("test", "NME", "%", 5.126, 40),
        Row("test", "FR 10 %", "%", 2.5, 40),
        Row("blur", "NME", "%", 7.0, 8),
        Row("blur", "FR 10 %", "%", None, 8, "a reason"),
        Row("track", "lost", "count", 3.0, 9),
    ]
    text = format_report(demo_report(rows, notes=("a note",)))
    assert text.splitlines() == [
        "demo: a demo",
        "                n  NME, %  FR 10 %",
        "  test  ours   40    5.13     2.50",
        "        Paper           -",
        "        Peer          4.5",
        "  blur  ours    8    7.00  not run",
        "               n  lost",
        "  track  ours  9     3",
        "  blur: a reason",
        "  a note",
    ]


def test_json_has_every_row_with_what_is_published_beside_it(entries):
    report = demo_report([Row("test", "NME", "%", 5.0, 40), Row("blur", "NME", "%", None)])
    (document,) = json.loads(json.dumps(report_as_json([report])))
    assert document["protocol"] == "demo"
    assert document["network"] == "ours"
    first, second = document["rows"]
    assert (first["value"], first["unit"], first["count"]) == (5.0, "%", 40)
    assert [(other["system"], other["value"]) for other in first["published"]] == [
        ("Paper", None),
        ("Peer", 4.5),
    ]
    assert second["value"] is None
    assert second["published"] == []


def test_missing_data_shows_what_would_stand_there(entries):
    def fail(*_):
        raise DatasetError("expected data, found none")

    report = run_protocol(EvaluationProtocol("demo", "a demo", ".", fail), Counting(), ".", None)

    assert report.not_run == "expected data, found none"
    text = format_report(report)
    assert "not run: expected data, found none" in text
    assert "4.5" in text
    assert [row.value for row in report.result.rows] == [None, None]


def test_missing_data_without_published_numbers(entries):
    def fail(*_):
        raise DatasetError("none")

    report = run_protocol(EvaluationProtocol("other", "x", ".", fail), Counting(), ".", None)
    assert [row.value for row in report.result.rows] == [None]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_says_what_is_missing(tmp_path, name):
    class All(Counting):
        has_pose = has_presence = True

    report = run_protocol(PROTOCOLS[name], All(), tmp_path / "nowhere", None)
    assert "nowhere" in report.not_run
    assert "not run" in format_report(report)
    assert report.result.rows


# ---- curves ------------------------------------------------------------------------------------


SCORES = np.array([0.9, 0.8, 0.3, 0.2])
LABELS = np.array([1, 0, 1, 0])
CURVES = [
    ErrorCurves("ced", "errors", {"a": np.array([1.0, 2.0, 30.0]), "b": np.array([50.0])}),
    ErrorCurves("nothing", "errors", {}),
    PrecisionRecallCurves("pr", "presence", {"a": precision_recall_curve(SCORES, LABELS)}),
    PrecisionRecallCurves(
        "pr_best", "presence", {"a": precision_recall_curve(np.array([1.0, 0.0]), np.array([1, 0]))}
    ),
    ReliabilityPlot("reliability", "presence", reliability_bins(SCORES, LABELS), 0.7),
]


@pytest.mark.parametrize("curves", CURVES, ids=lambda curves: curves.name)
def test_curves_are_drawn(tmp_path, curves):
    path = draw_curves(curves, tmp_path / "new")
    assert path == tmp_path / "new" / f"{curves.name}.png"
    picture = cv2.imread(str(path))
    assert picture.std() > 5  # something is on it
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_wilson_interval():
    # Newcombe, Statistics in Medicine 1998, table I: 81 of 263, 0 of 20, 1 of 29
    share, count = np.array([81 / 263, 0.0, 1 / 29]), np.array([263, 20, 29])
    low, high = wilson_interval(share, count)
    np.testing.assert_allclose(low, [0.2553, 0.0, 0.0061], atol=1e-4)
    np.testing.assert_allclose(high, [0.3662, 0.1611, 0.1718], atol=1e-4)


def test_a_file_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail_half_way():
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


# ---- command -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "atpn.safetensors"
    save_weights(Atpn(), path, {"network": "atpn"})
    return path


def write_wflw(root):
    folder = root / "WFLW_annotations/list_98pt_rect_attr_train_test"
    folder.mkdir(parents=True)
    (root / "WFLW_images").mkdir()
    cv2.imwrite(str(root / "WFLW_images/a.jpg"), np.full((64, 64, 3), 90, np.uint8))
    points = np.random.default_rng(0).uniform(5, 60, 196).round(3)
    line = " ".join(map(str, points.tolist())) + " 1 2 3 4 1 1 1 1 1 1 a.jpg\n"
    (folder / "list_98pt_rect_attr_test.txt").write_text(line)


def evaluate(*arguments, weights):
    return main(["evaluate", "--weights", str(weights), "--threads", "1", *map(str, arguments)])


def test_command_of_a_protocol(tmp_path, weights, capsys):
    data = tmp_path / "data"
    write_wflw(data)
    out = tmp_path / "out/wflw.json"

    status = evaluate(
        "--protocol", "wflw", "--data", data, "--json", out, "--curves", tmp_path / "curves",
        weights=weights,
    )  # fmt: skip

    assert status == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "10.77" in captured.out
    (document,) = json.loads(out.read_text())
    assert {row["subset"] for row in document["rows"]} == set(WFLW_SUBSETS)
    assert all(row["value"] is not None for row in document["rows"])
    assert [file.name for file in (tmp_path / "curves").iterdir()] == ["ced_wflw.png"]
    assert [file.name for file in out.parent.iterdir()] == ["wflw.json"]


def test_single_protocol_without_data_is_status_2(tmp_path, weights, capsys):
    assert evaluate("--protocol", "300vw", "--data", tmp_path, weights=weights) == 2
    captured = capsys.readouterr()
    assert "not run" in captured.out
    assert captured.err.startswith("error: expected the folders of 300VW")
    assert captured.err.count("\n") == 1


def test_all_protocols_run_what_is_there(tmp_path, weights, capsys):
    write_wflw(tmp_path / "WFLW")
    assert evaluate("--protocol", "all", "--data", tmp_path, "--json", "-", weights=weights) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    documents = {document["protocol"]: document for document in json.loads(captured.out)}
    assert list(documents) == list(PROTOCOLS)
    assert [name for name, document in documents.items() if not document["not_run"]] == ["wflw"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "all", "--data", "nowhere"], "expected a folder of data sets"),
        (["--protocol", "wflw", "--data", ".", "--weights", "nowhere"], "no file"),
    ],
)
def test_unusable_arguments(arguments, message, weights, capsys):
    assert evaluate(*arguments, weights=weights) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--protocol", "wflw"], ["--protocol", "x", "--data", "."]])
def test_protocol_needs_a_known_name_and_data(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *arguments])
    assert caught.value.code == 2
    capsys.readouterr()


def test_help_names_the_protocols(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    # argparse may break a line at a hyphen
    shown = capsys.readouterr().out.replace("\n", "").replace(" ", "")
    assert "|".join((*PROTOCOLS, "all")) in shown
