"""300VW, on small videos whose frames can be told apart by their brightness."""

import os
import pickle
import shutil
import threading

import cv2
import numpy as np
import pytest

from training.data import vw300
from training.data.sample import DatasetError
from training.data.vw300 import CATEGORY_1, CATEGORY_2, CATEGORY_3, VideoFrame, read_300vw

NUM_FRAMES = 60


def write_video(path, num_frames=NUM_FRAMES, offset=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (32, 24))
    for index in range(num_frames):
        writer.write(np.full((24, 32, 3), 4 * index + offset, np.uint8))
    writer.release()
    return path


def frame_number(frame, offset=0):
    return round((float(frame.mean()) - offset) / 4)


def write_annotations(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        points = "".join(f"{number + i}.5 {i}.25\n" for i in range(68))
        (folder / f"{number:06d}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}}}\n")


@pytest.fixture(scope="module")
def small_video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "vid.avi", num_frames=3)


@pytest.fixture
def make_300vw(tmp_path, small_video):
    def make(videos):
        for video in videos:
            write_annotations(tmp_path / video / "annot", (1, 2, 3))
            shutil.copyfile(small_video, tmp_path / video / "vid.avi")
        return tmp_path

    return make


def test_annotation_number_n_belongs_to_frame_n(make_300vw):
    samples = read_300vw(make_300vw(["001"]))

    assert [sample.name for sample in samples] == ["001/000001", "001/000002", "001/000003"]
    for index, sample in enumerate(samples):
        frame = sample.image.read()
        assert frame.shape == (24, 32, 3)
        assert frame_number(frame) == index
        # 1 less than in the file, whose coordinates start at 1
        np.testing.assert_allclose(sample.points68[0], (index + 1 + 0.5 - 1, 0.25 - 1))
        assert sample.subject == "001"


def test_lists_of_the_challenge():
    assert (len(CATEGORY_1), len(CATEGORY_2), len(CATEGORY_3)) == (31, 19, 14)
    assert len({*CATEGORY_1, *CATEGORY_2, *CATEGORY_3}) == 64


def test_training_videos_are_those_in_no_category(make_300vw):
    root = make_300vw(["001", "114", "203", "410", "562", "225"])

    train = read_300vw(root, "train")
    everything = read_300vw(root)

    assert {sample.subject for sample in train} == {"001", "225"}
    assert {sample.split for sample in train} == {"train"}
    assert {s.subject for s in everything if s.split == "val"} == {"114", "203", "410", "562"}


@pytest.mark.parametrize(
    ("split", "numbers"),
    [
        ("category1", CATEGORY_1),
        ("category2", CATEGORY_2),
        ("category3", CATEGORY_3),
        ("test", CATEGORY_1 + CATEGORY_2 + CATEGORY_3),
        ("val", CATEGORY_1 + CATEGORY_2 + CATEGORY_3),
    ],
)
def test_categories(make_300vw, split, numbers):
    everyone = [str(number) for number in CATEGORY_1 + CATEGORY_2 + CATEGORY_3]
    samples = read_300vw(make_300vw(["001", *everyone]), split)
    assert {sample.subject for sample in samples} == {str(number) for number in numbers}
    assert {sample.split for sample in samples} == {"val"}


def test_incomplete_category(make_300vw):
    root = make_300vw(["410", "411", "516"])
    with pytest.raises(DatasetError, match=r"the 14 videos of 300VW category3 .*missing 517 526"):
        read_300vw(root, "category3")


@pytest.mark.parametrize(
    "order",
    [
        list(range(NUM_FRAMES)),
        list(range(NUM_FRAMES - 1, -1, -1)),
        [7, 7, 7],
        [0, 40, 41, 3, 59, 0, 35, 36, 2],
        np.random.default_rng(0).permutation(NUM_FRAMES).tolist(),
    ],
    ids=["forward", "backward", "same", "jumps", "shuffled"],
)
def test_frames_in_any_order(tmp_path, order):
    path = write_video(tmp_path / "vid.avi")
    assert [frame_number(VideoFrame(path, index).read()) for index in order] == order


def test_two_videos_in_turn(tmp_path):
    first, second = (
        write_video(tmp_path / name, 10, off) for name, off in (("a.avi", 0), ("b.avi", 2))
    )
    for index in (0, 1, 5, 3):
        assert frame_number(VideoFrame(first, index).read()) == index
        assert frame_number(VideoFrame(second, index).read(), offset=2) == index


def test_video_that_cannot_be_sought_in(tmp_path, monkeypatch):
    class Unseekable:
        def __init__(self, path):
            self._capture = real(path)

        def set(self, *_):
            return False

        def __getattr__(self, name):
            return getattr(self._capture, name)

    real = cv2.VideoCapture
    path = write_video(tmp_path / "vid.avi")
    monkeypatch.setattr(vw300.cv2, "VideoCapture", Unseekable)
    order = [50, 3, 45, 0]
    assert [frame_number(VideoFrame(path, index).read()) for index in order] == order


def test_frames_in_threads(tmp_path):
    path = write_video(tmp_path / "vid.avi")
    wrong = []

    def read(indices):
        wrong.extend(i for i in indices if frame_number(VideoFrame(path, i).read()) != i)

    orders = [range(NUM_FRAMES), range(NUM_FRAMES - 1, -1, -2), range(0, NUM_FRAMES, 7)]
    threads = [threading.Thread(target=read, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_child_process_does_not_share_the_decoder(tmp_path):
    path = write_video(tmp_path / "vid.avi")
    reader = vw300._OpenVideo()
    reader.read(path, 10)
    inherited = reader._capture
    reader._process = os.getpid() + 1  # as in a child of the process that opened it

    assert frame_number(reader.read(path, 11)) == 11

    assert reader._capture is not inherited
    assert inherited.isOpened()  # left alone: it is the parent's


def test_frame_source_can_be_sent_to_another_process(tmp_path):
    path = write_video(tmp_path / "vid.avi")
    VideoFrame(path, 0).read()
    frame = pickle.loads(pickle.dumps(VideoFrame(path, 5)))
    assert frame_number(frame.read()) == 5


@pytest.mark.parametrize("index", [10, 11, 500])
def test_frame_after_the_end(tmp_path, index):
    path = write_video(tmp_path / "vid.avi", num_frames=10)
    with pytest.raises(DatasetError, match=rf"expected a frame {index} .*vid\.avi"):
        VideoFrame(path, index).read()
    assert frame_number(VideoFrame(path, 4).read()) == 4  # and the video is still usable


def test_frame_before_the_start(small_video):
    with pytest.raises(DatasetError, match="expected a frame -1"):
        VideoFrame(small_video, -1).read()


def test_file_that_is_no_video(tmp_path):
    path = tmp_path / "vid.avi"
    path.write_bytes(b"not a video")
    with pytest.raises(DatasetError, match=r"cannot be opened: .*vid\.avi"):
        VideoFrame(path, 0).read()


def test_missing_video(make_300vw):
    root = make_300vw(["001"])
    (root / "001/vid.avi").unlink()
    with pytest.raises(DatasetError, match=r"expected a video of 300VW at .*001.vid\.avi"):
        read_300vw(root)


def test_missing_annotations(make_300vw):
    root = make_300vw(["001"])
    for path in (root / "001/annot").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"expected \.pts files in .*annot"):
        read_300vw(root)


def test_annotation_without_a_frame_number(make_300vw):
    root = make_300vw(["001"])
    (root / "001/annot/000001.pts").rename(root / "001/annot/first.pts")
    with pytest.raises(DatasetError, match=r"expected a frame number .*first\.pts"):
        read_300vw(root)


def test_malformed_annotation(make_300vw):
    root = make_300vw(["001"])
    (root / "001/annot/000002.pts").write_text("version: 1\nn_points: 68\n{\n1 2\n}\n")
    with pytest.raises(DatasetError, match=r"000002\.pts: expected 72 lines .* got 5"):
        read_300vw(root)


def test_nothing_there_and_unknown_split(tmp_path):
    with pytest.raises(DatasetError, match="found none"):
        read_300vw(tmp_path)
    with pytest.raises(DatasetError, match=r"category1.* got 'category4'"):
        read_300vw(tmp_path, "category4")
