"""The worker on a tracker that a test holds up and lets go: events decide, never the clock."""

import gc
import threading
import weakref

import numpy as np
import pytest

from atpn_mobile.errors import AtpnError, InvalidFrameError
from atpn_mobile.types import StageTimings, TrackResult
from atpn_mobile.worker import LatestFrameWorker

PATIENCE_S = 30.0  # only a test that fails waits so long


class HeldTracker:
    """Stands still in every frame until the test lets it go; fails where the frame says so."""

    def __init__(self, *, held=True):
        self.seen = []  # (first pixel, timestamp) of the frames begun
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.held = held

    def track(self, frame, timestamp_s=None):
        self.begun.release()
        if self.held:
            assert self.go_on.acquire(timeout=PATIENCE_S)
        number = int(frame.flat[0])
        self.seen.append((number, timestamp_s))
        if number >= 200:
            raise InvalidFrameError(f"frame {number}")
        return TrackResult((), float(timestamp_s), StageTimings())

    def wait_until_busy(self):
        assert self.begun.acquire(timeout=PATIENCE_S)

    def let_go(self, frames=1):
        self.go_on.release(frames)


def numbered(number):
    return np.full((4, 4, 3), number, np.uint8)


@pytest.fixture
def tracker():
    held = HeldTracker()
    yield held
    held.let_go(1000)  # a test that failed leaves no thread behind


@pytest.fixture
def free_tracker():
    return HeldTracker(held=False)


class TestNewestFrame:
    def test_a_slow_tracker_drops_frames_but_never_the_last_one(self, tracker):
        with LatestFrameWorker(tracker) as worker:
            worker.submit(numbered(0), 0.0)
            tracker.wait_until_busy()
            for number in range(1, 10):
                worker.submit(numbered(number), number / 10)
            tracker.let_go(2)
            assert worker.wait(PATIENCE_S).timestamp_s == 0.9
            assert tracker.seen == [(0, 0.0), (9, 0.9)]
            assert (worker.tracked_frames, worker.dropped_frames) == (2, 8)

    def test_a_quick_tracker_drops_nothing_and_keeps_the_order(self, free_tracker):
        results = []
        with LatestFrameWorker(free_tracker, results.append) as worker:
            for number in range(20):
                worker.submit(numbered(number), float(number))
                assert worker.wait(PATIENCE_S).timestamp_s == number
            assert worker.dropped_frames == 0
        assert [result.timestamp_s for result in results] == list(range(20))

    def test_latest_is_the_newest_result_and_none_before_it(self, tracker):
        with LatestFrameWorker(tracker) as worker:
            assert worker.latest() is None
            worker.submit(numbered(1), 1.0)
            tracker.wait_until_busy()
            assert worker.latest() is None
            tracker.let_go()
            result = worker.wait(PATIENCE_S)
            assert worker.latest() is result

    def test_without_a_timestamp_the_clock_counts(self, free_tracker):
        with LatestFrameWorker(free_tracker) as worker:
            stamps = []
            for _ in range(3):
                worker.submit(numbered(0))
                stamps.append(worker.wait(PATIENCE_S).timestamp_s)
        assert stamps == sorted(stamps)
        assert stamps[0] > 0.0

    def test_many_producers(self, free_tracker):
        results = []
        with LatestFrameWorker(free_tracker, results.append) as worker:

            def produce(first):
                for number in range(first, first + 25):
                    worker.submit(numbered(number), float(number))

            producers = [threading.Thread(target=produce, args=(25 * k,)) for k in range(8)]
            for producer in producers:
                producer.start()
            for producer in producers:
                producer.join(PATIENCE_S)
            last = worker.wait(PATIENCE_S)
            assert worker.tracked_frames + worker.dropped_frames == 8 * 25
            assert worker.tracked_frames == len(results) == len(free_tracker.seen)
            assert results[-1] is last is worker.latest()
            assert last.timestamp_s % 25 == 24  # the last of some producer

    def test_wait_gives_up_after_its_time(self, tracker):
        with LatestFrameWorker(tracker) as worker:
            worker.submit(numbered(0), 0.0)
            assert worker.wait(0.0) is None
            tracker.let_go()

    def test_wait_without_a_frame_is_over_at_once(self, tracker):
        with LatestFrameWorker(tracker) as worker:
            assert worker.wait() is None


class TestOwnership:
    def test_a_copy_is_the_workers_own(self, tracker):
        frame = numbered(7)
        with LatestFrameWorker(tracker, copy_frames=True) as worker:
            worker.submit(frame, 0.0)
            frame[:] = 8
            tracker.let_go()
            worker.wait(PATIENCE_S)
        assert tracker.seen == [(7, 0.0)]

    def test_without_it_the_frame_itself_is_tracked(self, tracker):
        frame = numbered(7)
        with LatestFrameWorker(tracker) as worker:
            worker.submit(frame, 0.0)
            frame[:] = 8
            tracker.let_go()
            worker.wait(PATIENCE_S)
        assert tracker.seen == [(8, 0.0)]

    def test_a_frame_that_was_used_is_not_held(self, free_tracker):
        with LatestFrameWorker(free_tracker) as worker:
            frame = numbered(0)
            gone = weakref.ref(frame)
            worker.submit(frame, 0.0)
            worker.wait(PATIENCE_S)
            del frame
            worker.submit(numbered(1), 1.0)  # the thread is past the first one for sure
            worker.wait(PATIENCE_S)
            gc.collect()
            assert gone() is None


class TestErrors:
    def test_wait_raises_what_the_tracker_raised_and_the_next_frame_goes_on(self, free_tracker):
        with LatestFrameWorker(free_tracker) as worker:
            worker.submit(numbered(200), 0.0)
            with pytest.raises(InvalidFrameError, match="frame 200"):
                worker.wait(PATIENCE_S)
            worker.submit(numbered(1), 1.0)
            assert worker.wait(PATIENCE_S).timestamp_s == 1.0
            assert worker.tracked_frames == 1

    def test_submit_raises_it_and_does_not_take_the_frame(self, tracker):
        with LatestFrameWorker(tracker) as worker:
            worker.submit(numbered(200), 0.0)
            tracker.wait_until_busy()
            worker.submit(numbered(1), 1.0)  # waits, and is not begun while the error is unheard
            tracker.let_go(2)

            def submit_until_it_raises():
                while True:
                    worker.submit(numbered(2), 2.0)

            with pytest.raises(InvalidFrameError, match="frame 200"):
                submit_until_it_raises()
            taken = worker.wait(PATIENCE_S).timestamp_s
            assert taken in (1.0, 2.0)
            assert [number for number, _ in tracker.seen] == [200, int(taken)]

    def test_close_raises_what_nobody_was_told(self, tracker):
        worker = LatestFrameWorker(tracker)
        worker.submit(numbered(201), 0.0)
        tracker.wait_until_busy()
        tracker.let_go()
        with pytest.raises(InvalidFrameError, match="frame 201"):
            worker.close()
        worker.close()  # told once

    def test_the_error_of_the_block_is_not_hidden(self, tracker):
        def fail_while_the_tracker_fails():
            with LatestFrameWorker(tracker) as worker:
                worker.submit(numbered(202), 0.0)
                tracker.wait_until_busy()
                tracker.let_go()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_while_the_tracker_fails()

    def test_the_callbacks_error_counts_as_well(self, free_tracker):
        def fail(result):
            raise KeyError("callback")

        with LatestFrameWorker(free_tracker, fail) as worker:
            worker.submit(numbered(0), 0.0)
            with pytest.raises(KeyError, match="callback"):
                worker.wait(PATIENCE_S)
            assert worker.latest().timestamp_s == 0.0  # the result is there all the same

    def test_a_frame_that_is_none_is_the_trackers_to_refuse(self, free_tracker):
        with LatestFrameWorker(free_tracker, copy_frames=True) as worker:
            worker.submit(None, 0.0)
            with pytest.raises(TypeError):
                worker.wait(PATIENCE_S)


class TestClose:
    def test_while_busy_it_finishes_the_frame_and_drops_the_one_that_waits(self, tracker):
        worker = LatestFrameWorker(tracker)
        worker.submit(numbered(0), 0.0)
        tracker.wait_until_busy()
        worker.submit(numbered(1), 1.0)
        closing = threading.Thread(target=worker.close)
        closing.start()
        while worker.dropped_frames == 0:  # close() has begun
            closing.join(0.001)
        assert closing.is_alive()
        tracker.let_go()
        closing.join(PATIENCE_S)
        assert not closing.is_alive()
        assert tracker.seen == [(0, 0.0)]
        assert (worker.tracked_frames, worker.dropped_frames) == (1, 1)
        assert worker.latest().timestamp_s == 0.0
        with pytest.raises(AtpnError, match="closed"):
            worker.wait(PATIENCE_S)

    def test_it_ends_the_thread_and_can_be_called_twice(self, free_tracker):
        before = set(threading.enumerate())
        worker = LatestFrameWorker(free_tracker)
        (thread,) = set(threading.enumerate()) - before
        worker.close()
        worker.close()
        assert not thread.is_alive()

    def test_a_closed_worker_takes_no_frame_but_keeps_its_result(self, free_tracker):
        worker = LatestFrameWorker(free_tracker)
        worker.submit(numbered(0), 0.5)
        worker.wait(PATIENCE_S)
        worker.close()
        with pytest.raises(AtpnError, match="closed"):
            worker.submit(numbered(1), 1.0)
        assert worker.wait().timestamp_s == worker.latest().timestamp_s == 0.5

    def test_a_waiting_thread_is_woken(self, tracker):
        worker = LatestFrameWorker(tracker)
        worker.submit(numbered(0), 0.0)
        tracker.wait_until_busy()
        worker.submit(numbered(1), 1.0)
        errors = []

        def wait():
            try:
                worker.wait()
            except AtpnError as error:
                errors.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        tracker.go_on.release()
        tracker.held = False
        worker.submit(numbered(2), 2.0)
        worker.close()
        waiting.join(PATIENCE_S)
        assert not waiting.is_alive()

    def test_from_the_callback_it_does_not_wait_for_itself(self, free_tracker):
        heard = []

        def stop(result):
            with pytest.raises(AtpnError, match="callback"):
                worker.wait()
            worker.close()
            heard.append(result)

        worker = LatestFrameWorker(free_tracker, stop)
        worker.submit(numbered(0), 0.0)
        assert worker.wait(PATIENCE_S) is heard[0]
        worker.close()
