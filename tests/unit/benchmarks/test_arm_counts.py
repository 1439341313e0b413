"""What the plugin writes, read back."""

import pytest

from benchmarks.arm.counts import CLASSES, Block, Counts, minus, parse_counts, plus, typical
from benchmarks.errors import BenchmarkError


def counts(**some: int) -> Counts:
    return Counts({name: some.get(name, 0) for name in CLASSES})


def line(label: int, **some: int) -> str:
    fields = " ".join(f"{name}={some.get(name, 0)}" for name in CLASSES)
    return f"mark {label} {fields}\n"


def test_reads_marks_in_their_order():
    counted = parse_counts(line(1, load=3, dot=4) + line(2) + line(1, load=5))
    assert [one.total for one in counted.of(1)] == [7, 5]
    assert counted.of(1)[0].by_class["dot"] == 4
    assert counted.of(2)[0].total == 0
    assert counted.of(3) == ()


def test_reads_blocks():
    counted = parse_counts(line(1) + "block 5500a0 12 d503201f d65f03c0\n")
    (block,) = counted.blocks
    assert block == Block(0x5500A0, 12, (0xD503201F, 0xD65F03C0))
    assert block.instructions == 24


def test_an_empty_file_has_no_marks():
    assert parse_counts("").marks == ()


@pytest.mark.parametrize(
    "text",
    [
        "mark\n",
        "mark one load=1\n",
        "mark 1 load=1\n",  # classes are missing
        "unmark" + line(1)[4:],
        "block 55 3 xyz\n",
    ],
)
def test_refuses_other_lines(text):
    with pytest.raises(BenchmarkError, match="expected a line of counts, got"):
        parse_counts(text)


@pytest.mark.parametrize(
    ("totals", "expected"),
    [([5], 5), ([9, 1, 5], 5), ([9, 5], 5), ([7, 7, 1], 7)],  # of two the smaller
)
def test_the_typical_run_is_the_one_in_the_middle(totals, expected):
    assert typical([counts(load=total) for total in totals]).total == expected


def test_no_run_is_an_error():
    with pytest.raises(BenchmarkError, match="expected a counted run"):
        typical([])


def test_difference_does_not_fall_below_zero():
    assert minus(counts(load=5, dot=1), counts(load=2, dot=3)).by_class == counts(load=3).by_class


def test_sum():
    assert plus([counts(load=5), counts(load=1, sve=2)]).by_class == counts(load=6, sve=2).by_class
    assert plus([]).total == 0
