"""Numbers to set beside ours, each with its source. A None is a slot for who has the source.

Nothing here is typed from memory: a number stands here only where its source was at hand.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final

ATPN: Final = "ATPN (paper)"
_ATPN_SOURCE: Final = "Xia et al., arXiv 2103.07615"
_ASMNET_SOURCE: Final = "Fard et al., ASMNet, CVPR Workshops 2021"
_PEERS: Final = "measured for this project with the weights that the peer publishes"


@dataclass(frozen=True, slots=True)
class Published:
    """A number of somebody else.

    Attributes:
        protocol: name of the protocol.
        subset: as in the rows of the protocol.
        measure: likewise.
        system: whose it is.
        value: in the unit of the protocol's row; None where the source is not at hand.
        source: where it stands.
    """

    protocol: str
    subset: str
    measure: str
    system: str
    value: float | None
    source: str


def _slots(
    protocol: str, subsets: Iterable[str], measures: Iterable[str], system: str, source: str
) -> list[Published]:
    """Numbers that are known to be published, and not known here."""
    pairs = product(subsets, measures)
    return [Published(protocol, subset, name, system, None, source) for subset, name in pairs]


def _peers(
    protocol: str,
    subset: str,
    measures: tuple[str, ...],
    values: dict[str, tuple[float, ...]],
    conditions: str,
) -> list[Published]:
    """One line per system, its numbers in the order of the measures."""
    return [
        Published(protocol, subset, measure, system, value, f"{_PEERS}: {conditions}")
        for system, numbers in values.items()
        for measure, value in zip(measures, numbers, strict=True)
    ]


WFLW_SUBSETS: Final = (
    "test",
    "pose",
    "expression",
    "illumination",
    "make-up",
    "occlusion",
    "blur",
)
_CATEGORIES: Final = ("category A", "category B", "category C")
_ANGLES: Final = ("yaw", "pitch", "roll", "mean")

# The paper reports on WFLW, 300VW, WIDER FACE and 300W-LP. To fill a slot of it, add the number
# to this dictionary: (protocol, subset, measure) -> value.
ATPN_NUMBERS: Final[dict[tuple[str, str, str], float]] = {}

_ATPN_SLOTS: Final = (
    *_slots("wflw", WFLW_SUBSETS, ("NME", "FR 10 %", "AUC 10 %"), ATPN, _ATPN_SOURCE),
    *_slots(
        "300vw",
        (f"{category}, {mode}" for category in _CATEGORIES for mode in ("detection", "tracking")),
        ("NME",),
        ATPN,
        f"{_ATPN_SOURCE}, tables 3 and 4",
    ),
    *_slots("wider", ("all",), ("AP",), ATPN, _ATPN_SOURCE),
    *_slots(
        "300w-lp", ("full", "common", "challenging"), (*_ANGLES, "FR 10 deg"), ATPN, _ATPN_SOURCE
    ),
)

PUBLISHED: Final[tuple[Published, ...]] = (
    *(
        Published(
            slot.protocol,
            slot.subset,
            slot.measure,
            slot.system,
            ATPN_NUMBERS.get((slot.protocol, slot.subset, slot.measure)),
            slot.source,
        )
        for slot in _ATPN_SLOTS
    ),
    Published("wflw", "test", "NME", "ASMNet (paper)", 10.77, _ASMNET_SOURCE),
    *_slots(
        "300w", ("common", "challenging"), ("NME inter-ocular",), "ASMNet (paper)", _ASMNET_SOURCE
    ),
    Published("300w", "full", "NME inter-ocular", "ASMNet (paper)", 5.50, _ASMNET_SOURCE),
    *_peers(
        "300w",
        "HELEN test",
        ("NME inter-ocular", "NME inner 51"),
        {
            "PFLD_GhostOne": (4.43, 4.00),
            "PFLD_GhostNet": (4.64, 4.14),
            "Peppa": (4.79, 3.80),
            "MediaPipe FaceMesh": (5.03, 3.66),
            "MediaPipe + attention": (4.79, 3.38),
        },
        "330 faces, ground-truth boxes",
    ),
    *_peers(
        "300w",
        "AFW",
        ("NME inter-ocular", "NME inner 51"),
        {
            "PFLD_GhostOne": (5.31, 4.44),
            "PFLD_GhostNet": (5.56, 4.67),
            "Peppa": (5.77, 4.61),
            "MediaPipe FaceMesh": (6.28, 4.51),
            "MediaPipe + attention": (5.91, 4.12),
        },
        "337 faces, ground-truth boxes",
    ),
    *_slots("aflw2000", ("full",), _ANGLES, "FSA-Net (paper)", "Yang et al., CVPR 2019"),
    *_slots("aflw2000", ("full",), _ANGLES, "HopeNet (paper)", "Ruiz et al., CVPRW 2018"),
    *_peers(
        "pointing04",
        "within 60 deg",
        ("yaw", "pitch"),
        {"3DDFA_V2": (6.5, 15.0), "Peppa": (7.3, 20.6), "FSA-Net": (7.9, 14.9)},
        "1,260 pictures of Pointing'04",
    ),
)


def published(protocol: str) -> tuple[Published, ...]:
    """The numbers and slots of a protocol."""
    return tuple(entry for entry in PUBLISHED if entry.protocol == protocol)
