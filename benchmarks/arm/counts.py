"""What the plugin writes: instructions by class between marks, and executed blocks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.errors import BenchmarkError

# As in classify.h.
CLASSES: Final = (
    "multiply_add", "dot", "matrix", "load", "store", "branch", "integer", "simd", "sve",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions that were executed.

    Attributes:
        by_class: for each of ``CLASSES``.
    """

    by_class: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of all classes."""
        return sum(self.by_class.values())


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run one after the other.

    Attributes:
        address: of the first, in the program's memory.
        executed: how often.
        words: the instructions.
    """

    address: int
    executed: int
    words: tuple[int, ...]

    @property
    def instructions(self) -> int:
        """Executed in it."""
        return self.executed * len(self.words)


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one run of a program.

    Attributes:
        marks: label and counts, in their order.
        blocks: executed under the label that was asked for.
    """

    marks: tuple[tuple[int, Counts], ...]
    blocks: tuple[Block, ...] = ()

    def of(self, label: int) -> tuple[Counts, ...]:
        """The counts under a label, in their order."""
        return tuple(counts for other, counts in self.marks if other == label)


def parse_counts(text: str) -> Counted:
    """Read the plugin's file.

    Raises:
        BenchmarkError: a line is not one of the plugin's.
    """
    marks: list[tuple[int, Counts]] = []
    blocks: list[Block] = []
    for line in text.splitlines():
        kind, *fields = line.split()
        try:
            if kind == "block":
                words = tuple(int(word, 16) for word in fields[2:])
                blocks.append(Block(int(fields[0], 16), int(fields[1]), words))
            else:
                marks.append((_label(kind, fields[0]), _counts(fields[1:])))
        except (ValueError, IndexError) as error:
            raise BenchmarkError(f"expected a line of counts, got {line[:80]!r}") from error
    return Counted(tuple(marks), tuple(blocks))


def _label(kind: str, label: str) -> int:
    if kind != "mark":
        raise ValueError(kind)
    return int(label)


def _counts(fields: Iterable[str]) -> Counts:
    by_class = {name: int(count) for name, count in (field.split("=") for field in fields)}
    if tuple(by_class) != CLASSES:
        raise ValueError(by_class)
    return Counts(by_class)


def typical(runs: Sequence[Counts]) -> Counts:
    """The run in the middle by instructions: a whole run, so that its classes add up.

    Inferences of one program differ by some hundred instructions, as its memory is laid out.

    Raises:
        BenchmarkError: there is none.
    """
    if not runs:
        raise BenchmarkError("expected a counted run, the program marked none")
    return sorted(runs, key=lambda counts: counts.total)[(len(runs) - 1) // 2]


def minus(counts: Counts, other: Counts) -> Counts:
    """The difference; nothing falls below 0."""
    return Counts(
        {name: max(0, count - other.by_class[name]) for name, count in counts.by_class.items()}
    )


def plus(many: Iterable[Counts]) -> Counts:
    """The sum."""
    sums = dict.fromkeys(CLASSES, 0)
    for counts in many:
        for name, count in counts.by_class.items():
            sums[name] += count
    return Counts(sums)
