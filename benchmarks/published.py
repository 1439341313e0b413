"""What papers and projects say their networks cost, each with its source, beside our counts.

Only what is certain stands here, in the words of the source: MACs where it counts MACs, FLOPs
where it counts FLOPs, never one made of the other. Tables 2 and 5 of the ATPN paper are not at hand
as text; of them only the numbers below are used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from benchmarks.record import Row

ATPN_PAPER: Final = "Xia et al., arXiv 2103.07615"
ASMNET_PAPER: Final = "Fard, Abdollahi, Mahoor, ASMNet, CVPRW 2021"
MTCNN_PAPER: Final = "layers of Fig. 2, Zhang et al., IEEE Signal Processing Letters 23 (10), 2016"
BUILT_HERE: Final = "counted: python -m training counts, on the network built from the paper"


@dataclass(frozen=True, slots=True)
class Published:
    """One line of a paper or project.

    Attributes:
        network: whose it is.
        part: of the network, with its input.
        published_parameters: as written there; "" where nothing is known.
        published_macs: the same.
        published_flops: the same; a source that says FLOPs may mean one or two per MAC.
        counted_parameters: of the network's file or layers; None where that was not done.
        counted_macs: the same; a text where only so many digits are known.
        source: of the published numbers, and how the others were counted.
    """

    network: str
    part: str
    published_parameters: str = ""
    published_macs: str = ""
    published_flops: str = ""
    counted_parameters: int | None = None
    counted_macs: int | str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution of MTCNN, without padding; a fully connected layer covers all of its input.

    Attributes:
        channels: of the result.
        kernel: side.
        pooled: side of the picture after the max-pooling that follows; 0 for none.
    """

    channels: int
    kernel: int
    pooled: int = 0


# Windows and layers of the three networks; each hidden layer is followed by a PReLU, and three
# layers without give the face's probability (2), its box (4) and five landmarks (10).
MTCNN: Final[Mapping[str, tuple[int, tuple[Convolution, ...]]]] = {
    "P-Net": (12, (Convolution(10, 3, 5), Convolution(16, 3), Convolution(32, 3))),
    "R-Net": (
        24,
        (Convolution(28, 3, 11), Convolution(48, 3, 4), Convolution(64, 2), Convolution(128, 3)),
    ),
    "O-Net": (
        48,
        (
            Convolution(32, 3, 23),
            Convolution(64, 3, 10),
            Convolution(64, 3, 4),
            Convolution(128, 2),
            Convolution(256, 3),
        ),
    ),
}
MTCNN_RESULTS: Final = 2 + 4 + 10


def mtcnn_counts(window: int, layers: Sequence[Convolution]) -> tuple[int, int]:
    """Parameters and MACs of one of MTCNN's networks on one window.

    Args:
        window: side of its input, pixels.
        layers: in order; the three results follow on a picture of one pixel.
    """
    side, channels = window, 3
    parameters = macs = 0
    for layer in layers:
        side -= layer.kernel - 1
        weights = channels * layer.channels * layer.kernel**2
        parameters += weights + 2 * layer.channels  # bias and PReLU
        macs += weights * side**2
        side, channels = layer.pooled or side, layer.channels
    results = channels * MTCNN_RESULTS
    return parameters + results + MTCNN_RESULTS, macs + results * side**2


def published_rows(branches: Mapping[str, tuple[int, int]]) -> tuple[Row, ...]:
    """The published numbers beside our counts.

    Args:
        branches: parameters and MACs of ATPN by the results that need them, see
            ``layers.branches``; empty where it was not counted.
    """
    return tuple(asdict(one) for one in (*_atpn(branches), *_mtcnn(), *OTHERS))


def _atpn(branches: Mapping[str, tuple[int, int]]) -> tuple[Published, ...]:
    shared = branches.get("landmarks+pose+presence", (None, None))
    presence = branches.get("presence", (None, None))
    source = f"{ATPN_PAPER}; counted: atpn_float32.onnx"
    return (
        Published(
            "ATPN",
            "backbone and alignment, 112x112",
            "1.1 M",
            "0.06 G",
            counted_parameters=shared[0],
            counted_macs=shared[1],
            source=source,
        ),
        Published(
            "ATPN",
            "tracking branch (presence)",
            "0.19 M",
            "0.017 G",
            counted_parameters=presence[0],
            counted_macs=presence[1],
            source=source,
        ),
    )


def _mtcnn() -> tuple[Published, ...]:
    notes = {
        "P-Net": "it runs over a pyramid of the whole frame, not once",
        "R-Net": "once per candidate",
        "O-Net": "once per candidate left",
    }
    rows = []
    for name, (window, layers) in MTCNN.items():
        parameters, macs = mtcnn_counts(window, layers)
        rows.append(
            Published(
                "MTCNN",
                f"{name}, one {window}x{window} window",
                counted_parameters=parameters,
                counted_macs=macs,
                source=f"counted: {MTCNN_PAPER}; {notes[name]}",
            )
        )
    return tuple(rows)


def _peer(network: str, part: str, macs: str, repository: str) -> Published:
    source = f"counted: model file of {repository}"
    return Published(network, part, counted_macs=macs, source=source)


OTHERS: Final = (
    Published(
        "ASMNet",
        "all, 224x224",
        "1.43 M",
        published_flops="0.51 G",
        counted_parameters=1_444_655,
        counted_macs=256_527_976,
        source=f"{ASMNET_PAPER}; {BUILT_HERE}",
    ),
    Published(
        "MobileNetV2 with ASMNet's heads",
        "all, 224x224",
        "2.42 M",
        published_flops="0.60 G",
        counted_parameters=2_478_791,
        counted_macs=299_748_992,
        source=f"{ASMNET_PAPER}; {BUILT_HERE}",
    ),
    _peer("MediaPipe FaceMesh", "468 points", "35.0 M", "google-ai-edge/mediapipe 0.10.21"),
    _peer("MediaPipe attention", "478 points", "43.5 M", "google-ai-edge/mediapipe 0.10.21"),
    _peer("PFLD_GhostOne", "98 points", "74.9 M", "AnthonyF333/PFLD_GhostOne"),
    _peer("OpenSeeFace model 0", "66 points", "126.7 M", "emilianavt/OpenSeeFace"),
    _peer("Peppa slim", "68 points and pose", "24.7 M", "610265158/Peppa_Pig_Face_Landmark"),
    _peer("3DDFA_V2 mb05", "pose", "46.5 M", "cleardusk/3DDFA_V2"),
)
