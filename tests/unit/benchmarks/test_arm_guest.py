"""The marks that the driver in the emulator sets; here nobody counts them."""

import types

import pytest

from benchmarks.arm import guest, labels


@pytest.fixture
def marks(monkeypatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(guest, "mark", found.append)
    return found


def test_a_stage_within_a_stage(marks):
    place = types.SimpleNamespace()
    place.inner = lambda: "done"
    place.outer = lambda: place.inner()
    stages = guest.Stages()
    stages.wrap(place, "inner", labels.WARP)
    stages.wrap(place, "outer", labels.TENSOR)
    assert stages.frame(lambda: place.outer(), labels.REST) == "done"
    # What comes before a mark belongs to it: the frame's own, the outer's, the inner's, ...
    assert marks == [
        labels.IGNORED,
        labels.REST,
        labels.TENSOR,
        labels.WARP,
        labels.TENSOR,
        labels.REST,
    ]


def test_warm_up_frames_are_not_counted(marks):
    place = types.SimpleNamespace(network=lambda: None)
    stages = guest.Stages()
    stages.wrap(place, "network", labels.NETWORK)
    stages.frame(lambda: place.network(), labels.IGNORED)
    assert set(marks) == {labels.IGNORED}


def test_a_stage_that_fails_is_left(marks):
    def broken() -> None:
        raise ValueError

    place = types.SimpleNamespace(broken=broken)
    stages = guest.Stages()
    stages.wrap(place, "broken", labels.DECODE)

    def frame() -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - the test's own
            place.broken()

    stages.frame(frame, labels.REST)
    assert marks == [labels.IGNORED, labels.REST, labels.DECODE, labels.REST]


def test_every_stage_has_a_name_of_its_own():
    assert len(set(labels.STAGES.values())) == len(labels.STAGES)
    assert labels.IGNORED not in labels.STAGES
    assert labels.EMPTY not in labels.STAGES
