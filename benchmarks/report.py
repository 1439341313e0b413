"""``report``: results as tables and pictures in documents, between marker comments.

    <!-- benchmarks: macs files -->
    <!-- end of benchmarks -->

is filled with the table "files" of ``benchmarks/results/macs.json``; without a table's name, with
all of its tables. ``macs branches file=atpn_int8.onnx`` takes the rows with that value, and leaves
the column out. Below stand the conditions, and below the first one of a result in a document its
note. What a benchmark shows other than plain tables it registers in ``RENDERERS``.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from benchmarks.errors import BenchmarkError
from benchmarks.macs_picture import draw_layers
from benchmarks.record import RESULTS, ROOT, Record, Row, Table, read_record, writing
from benchmarks.tables import columns_of, markdown_table

HELP: Final = "write the tables and pictures of the documents from results"
DOCUMENTS: Final = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
PICTURES: Final = "pictures"  # folder beside the documents of docs/
END: Final = "<!-- end of benchmarks -->"
MARKER: Final = re.compile(
    r"<!-- benchmarks: (?P<result>\S+)(?: (?P<table>[^\s=]+)(?P<filters>(?: \S+=\S+)*))? -->\n"
)
MARKED: Final = re.compile(f"{MARKER.pattern}.*?{END}", re.DOTALL)
CHANGED_TREE: Final = "**from a changed tree**"
SHORT_COMMIT: Final = 10  # characters


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is shown of a result.

    Attributes:
        text: Markdown; ends with a new line.
        pictures: what draws them, by the name of the file in docs/pictures.
    """

    text: str
    pictures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


# Takes a result, the name of what to show of it ("" for all), and the path from the document to
# docs/pictures.
Renderer: TypeAlias = Callable[[Record, str, str], Rendering]


def render_tables(record: Record, name: str, pictures: str) -> Rendering:
    """A table as it is, or all of them, each below its name.

    Args:
        record: a result.
        name: of the table; "" for all.
        pictures: path from the document to the pictures; not used.

    Raises:
        BenchmarkError: the result has no such table.
    """
    if name:
        return Rendering(_markdown(_rows(record, name)))
    parts = [f"{title}:\n\n{_markdown(table.rows)}" for title, table in record.tables.items()]
    return Rendering("\n".join(parts))


def render_macs(record: Record, name: str, pictures: str) -> Rendering:
    """As ``render_tables``; and as "picture" the layers of the result's one file, drawn.

    Args:
        record: of ``macs``; for a picture, with a table of layers.
        name: "picture", or as for ``render_tables``.
        pictures: path from the document to the pictures.

    Raises:
        BenchmarkError: the result has no such table, or layers of several files.
    """
    if name != "picture":
        return render_tables(record, name, pictures)
    rows = _rows(record, "layers")
    files = sorted({str(row["file"]) for row in rows})
    if len(files) != 1:
        raise BenchmarkError(f"expected layers of one file to draw, got {files}")
    file = f"layers_{Path(files[0]).stem}.png"
    text = f"![MACs and bytes of each layer of {files[0]}]({pictures}/{file})\n"
    return Rendering(text, {file: partial(draw_layers, rows, files[0])})


RENDERERS: Final[Mapping[str, Renderer]] = MappingProxyType({"macs": render_macs})


def _rows(record: Record, name: str) -> Sequence[Row]:
    if name not in record.tables:
        raise BenchmarkError(f"expected a table out of {list(record.tables)}, got {name!r}")
    return record.tables[name].rows


def _filtered(record: Record, name: str, filters: str) -> Record:
    """A result whose table has only the rows with the given values, without those columns."""
    wanted = dict(one.split("=", 1) for one in filters.split())
    if not wanted:
        return record
    rows = [
        {column: value for column, value in row.items() if column not in wanted}
        for row in _rows(record, name)
        if all(str(row.get(column)) == value for column, value in wanted.items())
    ]
    if not rows:
        raise BenchmarkError(f"expected rows of {name!r} with {filters.strip()}, got none")
    key = tuple(column for column in record.tables[name].key if column not in wanted)
    return replace(record, tables={**record.tables, name: Table(key, tuple(rows))})


def _markdown(rows: Sequence[Row]) -> str:
    return markdown_table(rows, columns_of(rows))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--docs", type=Path, nargs="+", default=list(DOCUMENTS), metavar="FILE")
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="take results of a changed tree too, and say so below them",
    )


def run(args: argparse.Namespace) -> int:
    """Fill all documents, or none.

    Raises:
        BenchmarkError: a result is missing or of a changed tree, or a marker has no end.
    """
    filled = {}
    drawn: dict[Path, Callable[[Path], None]] = {}
    for document in args.docs:
        text, pictures = fill(document, args.results, allow_dirty=args.allow_dirty)
        filled[document] = text
        drawn |= pictures
    for path, draw in drawn.items():
        draw(path)
        sys.stdout.write(f"drew {path}\n")
    for document, text in filled.items():
        with writing(document) as partial_file:
            partial_file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {document}\n")
    return 0


def fill(
    document: Path, results: Path, *, allow_dirty: bool = False
) -> tuple[str, dict[Path, Callable[[Path], None]]]:
    """A document with its tables, and what draws its pictures.

    Args:
        document: Markdown with markers.
        results: folder of results.
        allow_dirty: whether results of a changed tree are taken; the text says so then.

    Raises:
        BenchmarkError: the document cannot be read, a marker has no end, a result is missing, is
            none, has no such table, or is of a changed tree.
    """
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"expected a document at {document}, got: {error}") from error
    begun, ended = len(MARKER.findall(text)), len(MARKED.findall(text))
    if not begun == ended == text.count(END):
        raise BenchmarkError(f"expected {END!r} after each of {begun} markers in {document}")
    folder = _pictures_folder(document)
    path = folder.relative_to(document.parent).as_posix()
    drawn: dict[Path, Callable[[Path], None]] = {}
    explained: set[str] = set()

    def filled(match: re.Match[str]) -> str:
        source = results / f"{match['result']}.json"
        try:
            record = read_record(source)
            renderer = RENDERERS.get(record.kind, render_tables)
            name = match["table"] or ""
            rendering = renderer(_filtered(record, name, match["filters"] or ""), name, path)
        except BenchmarkError as error:
            raise BenchmarkError(f"{document}, {match['result']}: {error}") from error
        if record.conditions.dirty and not allow_dirty:
            raise BenchmarkError(f"expected results of a clean tree, got those of {source}")
        drawn.update({folder / name: draw for name, draw in rendering.pictures.items()})
        note = "" if match["result"] in explained else f"*{record.note}*\n\n"
        explained.add(match["result"])
        begin = match[0].splitlines()[0]
        return f"{begin}\n{rendering.text}\n{note}*{_origin(record)}*\n{END}"

    return MARKED.sub(filled, text), drawn


def _pictures_folder(document: Path) -> Path:
    """docs/pictures, for a document in docs/ as for one beside docs/."""
    folder = document.parent if document.parent.name == "docs" else document.parent / "docs"
    return folder / PICTURES


def _origin(record: Record) -> str:
    """The line below a table: of what sources, where, with what and how it was measured."""
    conditions = record.conditions
    parts = [f"commit {conditions.commit[:SHORT_COMMIT] or 'unknown'}"]
    if conditions.dirty:
        parts.append(CHANGED_TREE)
    parts.append(conditions.machine)
    parts += [f"{name} {version}" for name, version in conditions.packages.items()]
    parts += [f"{name} {value}" for name, value in conditions.settings.items()]
    return f"`{record.command}`; {', '.join(parts)}"
