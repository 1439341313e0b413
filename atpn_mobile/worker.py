"""Track a camera in the background: only ever the newest frame, never a queue of old ones."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import numpy as np

from atpn_mobile.errors import AtpnError
from atpn_mobile.types import Frame, TrackResult


class VideoTracker(Protocol):
    """What the worker needs of a tracker; ``FaceTracker`` is one."""

    def track(self, frame: Frame, timestamp_s: float | None = None) -> TrackResult:
        """Follow the faces into the next frame."""


class LatestFrameWorker:
    """One background thread that runs a tracker on the newest frame handed in.

    A camera that is faster than the tracker costs frames, never delay: a frame that still waits
    when the next one comes is dropped. The last frame handed in is always tracked, unless the
    worker is closed before.

    A frame handed in belongs to the worker until its result is there or it was dropped: do not
    write to it before, or let the worker copy it. Where a camera's library fills the same buffer
    again and again, copy.

    An error of the tracker or of the callback comes out of the next ``submit()``, ``wait()`` or
    ``close()``, once; until then no other frame is begun. The tracker must not be used by others
    while the worker is open, and stays the caller's to close.

    Example:
        >>> with FaceTracker() as tracker, LatestFrameWorker(tracker) as worker:  # doctest: +SKIP
        ...     for frame in camera:
        ...         worker.submit(frame)
        ...         show(frame, worker.latest())
    """

    def __init__(
        self,
        tracker: VideoTracker,
        on_result: Callable[[TrackResult], None] | None = None,
        *,
        copy_frames: bool = False,
    ) -> None:
        """Start the thread.

        Args:
            tracker: follows the faces; used by the worker's thread alone.
            on_result: called with each result, in order, on the worker's thread; the next frame is
                begun when it returns.
            copy_frames: copy every frame that is handed in, so that the caller may write to it.
        """
        self._tracker = tracker
        self._on_result = on_result
        self._copy_frames = copy_frames
        # Guards all that follows; notified whenever any of it changes.
        self._changed = threading.Condition()
        self._waiting: tuple[Frame, float] | None = None
        self._latest: TrackResult | None = None
        self._error: BaseException | None = None
        self._submitted = 0
        self._dropped = 0
        self._tracked = 0
        self._settled = 0  # frames tracked, failed or dropped; in the order of their coming
        self._closed = False  # no frame is begun any more
        self._ended = False  # the thread's work is done
        # A daemon: a program that forgets to close it can still end.
        self._thread = threading.Thread(target=self._work, name="atpn-latest-frame", daemon=True)
        self._thread.start()

    @property
    def tracked_frames(self) -> int:
        """Frames that gave a result."""
        with self._changed:
            return self._tracked

    @property
    def dropped_frames(self) -> int:
        """Frames that were replaced by a newer one, or still waited when the worker was closed."""
        with self._changed:
            return self._dropped

    def submit(self, frame: Frame, timestamp_s: float | None = None) -> None:
        """Hand in the newest frame, from any thread; returns at once.

        Args:
            frame: as ``FaceTracker.track`` takes it; see above for who owns it.
            timestamp_s: time of the frame, seconds. None: now, by the clock of
                ``time.monotonic``, for frames that are dropped take time as well.

        Raises:
            AtpnError: the worker is closed.
            BaseException: what an earlier frame ended with; this one is not taken then.
        """
        now_s = time.monotonic() if timestamp_s is None else timestamp_s
        if self._copy_frames:
            frame = np.array(frame)
        with self._changed:
            self._raise_error()
            if self._closed:
                raise AtpnError("expected an open LatestFrameWorker, this one was closed")
            self._dropped += self._waiting is not None
            self._waiting = (frame, now_s)
            self._submitted += 1
            self._changed.notify_all()

    def latest(self) -> TrackResult | None:
        """The newest result there is; None before the first. Never waits, never raises."""
        with self._changed:
            return self._latest

    def wait(self, timeout_s: float | None = None) -> TrackResult | None:
        """Wait until all frames handed in so far are tracked or dropped, callbacks included.

        Args:
            timeout_s: wait no longer than this, seconds; None: as long as it takes.

        Returns:
            The newest result, that of the last frame handed in or of a later one; None when the
            time is over, or when no frame was handed in.

        Raises:
            AtpnError: called from the callback, which it would wait for; or the worker was closed
                and dropped the last frame.
            BaseException: what a frame ended with.
        """
        if threading.current_thread() is self._thread:
            raise AtpnError("expected wait() to be called outside the worker's callback")
        with self._changed:
            wanted = self._submitted
            self._changed.wait_for(
                lambda: self._error is not None or self._ended or self._settled >= wanted,
                timeout_s,
            )
            self._raise_error()
            if self._settled >= wanted:
                return self._latest
            if self._ended:
                raise AtpnError("expected the last frame to be tracked, the worker was closed")
            return None

    def close(self) -> None:
        """Finish the frame that is being tracked, drop one that waits, end the thread.

        A second call does nothing. Called from the callback, it does not wait for the thread.

        Raises:
            BaseException: what a frame ended with, if nobody was told yet.
        """
        self._stop()
        with self._changed:
            self._raise_error()

    def __enter__(self) -> "LatestFrameWorker":
        """The worker itself; it is closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; an error of a frame does not hide the one that ended the block."""
        if error is None:
            self.close()
        else:
            self._stop()

    def _stop(self) -> None:
        with self._changed:
            self._closed = True
            self._dropped += self._waiting is not None
            self._waiting = None
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _raise_error(self) -> None:
        """Hand the error over; to be called with the lock held."""
        error, self._error = self._error, None
        if error is not None:
            self._changed.notify_all()
            raise error

    def _work(self) -> None:
        while (task := self._next_task()) is not None:
            frame, timestamp_s, number = task
            error: BaseException | None = None
            try:
                self._track(frame, timestamp_s)
            except BaseException as caught:  # whatever it is, the caller is to hear of it
                error = caught
            with self._changed:
                self._error = error
                self._settled = number
                self._changed.notify_all()
            del frame, task, error  # nothing is held while there is nothing to do
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _next_task(self) -> tuple[Frame, float, int] | None:
        """The newest frame, its time and number, once there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._waiting is not None and self._error is None)
            )
            if self._closed or self._waiting is None:
                return None
            frame, timestamp_s = self._waiting
            self._waiting = None
            return frame, timestamp_s, self._submitted

    def _track(self, frame: Frame, timestamp_s: float) -> None:
        result = self._tracker.track(frame, timestamp_s)
        with self._changed:
            self._latest = result
            self._tracked += 1
        if self._on_result is not None:
            self._on_result(result)
