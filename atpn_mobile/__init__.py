"""Face alignment, tracking and head pose on phones: the ATPN network behind one ``FaceTracker``."""

from atpn_mobile._version import __version__
from atpn_mobile.backends import Backend, available_backends, create_backend
from atpn_mobile.config import DetectorConfig, SmoothingConfig, TrackerConfig
from atpn_mobile.detector import Detector, NetworkDetector
from atpn_mobile.errors import (
    AtpnError,
    BackendUnavailableError,
    ChecksumError,
    ConfigError,
    InvalidFrameError,
    ManifestError,
    ModelMismatchError,
    ModelNotFoundError,
    VideoError,
)
from atpn_mobile.expressions import Expressions, measure_expressions
from atpn_mobile.geometry import roi_from_box, roi_from_landmarks
from atpn_mobile.manifest import Manifest, load_manifest
from atpn_mobile.tracker import FaceTracker
from atpn_mobile.types import Detection, Face, HeadPose, Roi, StageTimings, TrackResult
from atpn_mobile.worker import LatestFrameWorker

__all__ = [
    "AtpnError",
    "Backend",
    "BackendUnavailableError",
    "ChecksumError",
    "ConfigError",
    "Detection",
    "Detector",
    "DetectorConfig",
    "Expressions",
    "Face",
    "FaceTracker",
    "HeadPose",
    "InvalidFrameError",
    "LatestFrameWorker",
    "Manifest",
    "ManifestError",
    "ModelMismatchError",
    "ModelNotFoundError",
    "NetworkDetector",
    "Roi",
    "SmoothingConfig",
    "StageTimings",
    "TrackResult",
    "TrackerConfig",
    "VideoError",
    "__version__",
    "available_backends",
    "create_backend",
    "load_manifest",
    "measure_expressions",
    "roi_from_box",
    "roi_from_landmarks",
]
