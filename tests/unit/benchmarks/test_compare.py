"""What may change between two results, and what may not."""

import argparse

import pytest

from benchmarks import compare
from benchmarks.errors import BenchmarkError
from benchmarks.record import Conditions, Record, Table, write_record

CONDITIONS = Conditions("abc", False, "a machine")


def result(*rows: dict[str, object], kind: str = "macs", table: str = "files") -> Record:
    exact = ("macs", "bytes")
    return Record(kind, "", "", CONDITIONS, {table: Table(("file",), tuple(rows), exact)})


OLD = result({"file": "a", "macs": 100, "bytes": 50, "ms": 2.0}, {"file": "b", "macs": 7})


@pytest.mark.parametrize(
    ("changed", "limits", "verdicts"),
    [
        ({}, {}, []),
        ({"macs": 90}, {}, [("smaller", True)]),
        ({"macs": 101}, {}, [("over the limit of 0 %", False)]),
        ({"macs": 101}, {"macs": 1.0}, [("within the limit of 1 %", True)]),
        ({"macs": 102}, {"macs": 1.0}, [("over the limit of 1 %", False)]),
        ({"macs": 102}, {"bytes": 5.0}, [("over the limit of 0 %", False)]),
        # a time is compared only where a limit asks for it
        ({"ms": 9.0}, {}, []),
        ({"ms": 9.0}, {"ms": 10.0}, [("over the limit of 10 %", False)]),
        # an exact number that is gone
        ({"macs": None}, {}, [("another value", False)]),
    ],
)
def test_values(changed, limits, verdicts):
    new = result({**OLD.tables["files"].rows[0], **changed}, OLD.tables["files"].rows[1])

    changes = compare.compare_records(OLD, new, limits)

    assert [(one.verdict, one.allowed) for one in changes] == verdicts


def test_growth_from_nothing_is_over_every_limit():
    old, new = result({"file": "a", "macs": 0}), result({"file": "a", "macs": 1})

    (change,) = compare.compare_records(old, new, {"macs": 1e9})
    assert not change.allowed


@pytest.mark.parametrize("allowed", [True, False])
def test_missing_rows_and_new_ones(allowed):
    new = result({"file": "b", "macs": 7}, {"file": "c", "macs": 1})

    changes = compare.compare_records(OLD, new, {}, allow_missing=allowed)

    found = [(one.row, one.verdict, one.allowed) for one in changes]
    assert found == [("files: a", "missing", allowed), ("files: c", "new", True)]


def test_a_missing_table_is_missing_rows():
    changes = compare.compare_records(OLD, result({"file": "a"}, table="other"), {})

    assert [one.verdict for one in changes] == ["missing", "missing", "new"]


def test_results_of_two_benchmarks_are_refused():
    with pytest.raises(BenchmarkError, match="two results of 'macs', got one of 'latency'"):
        compare.compare_records(OLD, result(kind="latency"), {})


def run(tmp_path, new: Record, *options: str) -> int:
    write_record(OLD, tmp_path / "a.json")
    write_record(new, tmp_path / "b.json")
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    args = parser.parse_args([str(tmp_path / "a.json"), str(tmp_path / "b.json"), *options])
    return compare.run(args)


def test_the_command_shows_old_new_and_percent(tmp_path, capsys):
    new = result({"file": "a", "macs": 110, "bytes": 40}, {"file": "b", "macs": 7})

    assert run(tmp_path, new) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [
        *("files:", "a", "macs", "100", "110", "+10.00"),
        *("FAILED:", "over", "the", "limit", "of", "0", "%"),
    ]
    assert lines[2].split() == ["files:", "a", "bytes", "50", "40", "-20.00", "smaller"]
    assert lines[3] == "2 changes, 1 not allowed"
    assert run(tmp_path, new, "--limit", "macs=10") == 0


def test_equal_results_pass(tmp_path, capsys):
    assert run(tmp_path, OLD) == 0
    assert capsys.readouterr().out == "no change\n"


@pytest.mark.parametrize("limit", ["macs", "=3", "macs=-1", "macs=nan", "macs=inf", "macs=x"])
def test_wrong_limits_are_usage_errors(tmp_path, limit, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, OLD, "--limit", limit)

    assert stopped.value.code == 2
    assert "expected COLUMN=PERCENT" in capsys.readouterr().err


def test_a_limit_for_no_column_is_a_usage_error(tmp_path, capsys):
    assert run(tmp_path, OLD, "--limit", "mcas=3") == 2
    assert "['mcas']" in capsys.readouterr().err
