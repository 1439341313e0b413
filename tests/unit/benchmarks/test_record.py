"""Results as files."""

import json

import pytest

from benchmarks import record as module
from benchmarks.errors import BenchmarkError
from benchmarks.record import (
    Conditions,
    Record,
    Table,
    conditions,
    read_record,
    to_json,
    write_record,
    writing,
)

RECORD = Record(
    "macs",
    "a note",
    "python -m benchmarks macs",
    Conditions("abc", False, "a machine", {"onnx": "1"}, {"threads": 1}),
    {
        "files": Table(("file",), ({"file": "a", "macs": 3}, {"file": "b", "macs": 4}), ("macs",)),
        "empty": Table(("file",), ()),
    },
)


def test_what_is_written_is_read(tmp_path):
    write_record(RECORD, tmp_path / "new" / "macs.json")

    assert read_record(tmp_path / "new" / "macs.json") == RECORD


def test_every_row_has_a_line_of_its_own():
    lines = to_json(RECORD).splitlines()

    assert '        {"file": "a", "macs": 3},' in lines
    assert json.loads(to_json(RECORD))["tables"]["empty"]["rows"] == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"macs": 3}], r"got no \['file'\]"),
        ([{"file": "a"}, {"file": "a"}], r"got \('a',\) twice"),
    ],
)
def test_rows_need_keys_of_their_own(rows, message):
    with pytest.raises(BenchmarkError, match=message):
        Table(("file",), tuple(rows))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "{"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(BenchmarkError, match=r"a\.json"):
        read_record(tmp_path / "a.json")


def test_other_schemas_are_refused(tmp_path):
    text = to_json(RECORD).replace('"schema_version": 1', '"schema_version": 2')
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(BenchmarkError, match="expected results of schema 1, got 2"):
        read_record(tmp_path / "a.json")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with writing(path) as partial:
            partial.write_text("half of")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("changes", "dirty"), [("", False), (" M benchmarks/macs.py", True)])
def test_conditions_tell_whether_sources_had_changes(monkeypatch, changes, dirty):
    asked = []

    def git(*arguments: str) -> str:
        asked.append(arguments)
        return changes if arguments[0] == "status" else "abc"

    monkeypatch.setattr(module, "_git", git)
    found = conditions(["pytest", "no-such-distribution"], threads=2)

    assert (found.commit, found.dirty) == ("abc", dirty)
    assert list(found.packages) == ["pytest"]
    assert found.settings == {"threads": 2}
    # a result that was just written does not make the next one dirty
    assert ":(exclude)benchmarks/results" in asked[1]
