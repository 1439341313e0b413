"""docs/users_ask.md names a test for each row; each of them has to exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "users_ask.md"
ROWS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]


def named(row: str) -> list[tuple[str, str | None]]:
    """File and function of each test in a row; "::name" belongs to the file before it."""
    found: list[tuple[str, str | None]] = []
    for text in re.findall(r"`([^`]*)`", row.split("|")[4]):
        file, _, function = text.partition("::")
        if file.endswith(".py"):
            found.append((file, function or None))
        elif function:
            found.append((found[-1][0], function))
    return found


def test_every_theme_is_there():
    assert len(ROWS) == 17


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_the_tests_of_a_row_exist(row):
    tests = named(row)
    assert tests
    for file, function in tests:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert function is None or f"def {function}(" in text, (file, function)
