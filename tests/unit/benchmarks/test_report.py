"""Documents filled from results."""

import argparse
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.record import RESULTS, ROOT, Conditions, Record, Table, write_record
from benchmarks.tables import cell, heading

LAYERS = {"op": "Conv", "kind": "conv", "macs": 5, "weight_bytes": 2, "activation_bytes": 3}


def result(*, dirty: bool = False, kind: str = "latency") -> Record:
    rows = (
        {"model": "a|b", "engine": "x", "median_ms": 1234.5, "macs": 12345},
        {"model": "c", "engine": "y", "median_ms": 0.25},
    )
    layers = ({"file": "m.onnx", "layer": "stem", **LAYERS},)
    return Record(
        kind,
        "What this is.",
        "python -m benchmarks latency",
        Conditions("0123456789abcdef", dirty, "a host", {"onnx": "1.2"}, {"threads": 1}),
        {"hot": Table(("model",), rows), "layers": Table(("layer",), layers)},
    )


@pytest.fixture
def results(tmp_path) -> Path:
    write_record(result(), tmp_path / "results" / "latency.json")
    write_record(result(dirty=True), tmp_path / "results" / "changed.json")
    write_record(result(kind="macs"), tmp_path / "results" / "counts.json")
    return tmp_path / "results"


def document(tmp_path: Path, *markers: str) -> Path:
    path = tmp_path / "docs" / "page.md"
    path.parent.mkdir()
    parts = [f"<!-- benchmarks: {one} -->\nold\n<!-- end of benchmarks -->" for one in markers]
    path.write_text("\n\n".join(["before", *parts, "after\n"]))
    return path


def run(results: Path, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return report.run(parser.parse_args(["--results", str(results), *map(str, arguments)]))


def test_a_table_with_units_and_conditions(tmp_path, results):
    page = document(tmp_path, "latency hot", "latency hot engine=y")

    assert run(results, "--docs", page) == 0
    assert page.read_text() == (
        "before\n\n"
        "<!-- benchmarks: latency hot -->\n"
        "| model | engine | median, ms | MACs |\n"
        "| --- | --- | ---: | ---: |\n"
        r"| a\|b | x | 1,234 | 12,345 |" + "\n"
        "| c | y | 0.25 | - |\n\n"
        "*What this is.*\n\n"
        "*`python -m benchmarks latency`; commit 0123456789, a host, onnx 1.2, threads 1*\n"
        "<!-- end of benchmarks -->\n\n"
        "<!-- benchmarks: latency hot engine=y -->\n"
        "| model | median, ms |\n"
        "| --- | ---: |\n"
        "| c | 0.25 |\n\n"
        "*`python -m benchmarks latency`; commit 0123456789, a host, onnx 1.2, threads 1*\n"
        "<!-- end of benchmarks -->\n\n"
        "after\n"
    )


def test_filling_again_changes_nothing(tmp_path, results):
    page = document(tmp_path, "latency")
    run(results, "--docs", page)
    once = page.read_text()
    run(results, "--docs", page)

    assert page.read_text() == once
    assert once.index("hot:\n") < once.index("layers:\n")


def test_pictures_are_drawn_beside_the_documents(tmp_path, results):
    page = document(tmp_path, "counts picture")
    run(results, "--docs", page)

    assert "(pictures/layers_m.png)" in page.read_text()
    assert (tmp_path / "docs" / "pictures" / "layers_m.png").stat().st_size > 0


def test_a_document_beside_docs_links_into_it(tmp_path, results):
    page = tmp_path / "README.md"
    page.write_text("<!-- benchmarks: counts picture -->\n<!-- end of benchmarks -->\n")

    text, pictures = report.fill(page, results)
    assert "(docs/pictures/layers_m.png)" in text
    assert list(pictures) == [tmp_path / "docs" / "pictures" / "layers_m.png"]


def test_a_registered_renderer_shows_its_kind(tmp_path, results, monkeypatch):
    def render(record: Record, name: str, pictures: str) -> report.Rendering:
        return report.Rendering(f"{record.kind} {name} {pictures}\n")

    monkeypatch.setattr(report, "RENDERERS", {"latency": render})
    text, _ = report.fill(document(tmp_path, "latency graph"), results)

    assert "\nlatency graph pictures\n" in text


def test_results_of_a_changed_tree_are_refused_or_marked(tmp_path, results):
    page = document(tmp_path, "latency hot", "changed hot")
    before = page.read_text()

    with pytest.raises(BenchmarkError, match=r"of a clean tree, got those of .*changed\.json"):
        run(results, "--docs", page)
    assert page.read_text() == before
    run(results, "--docs", page, "--allow-dirty")
    assert page.read_text().count("**from a changed tree**") == 1


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("nothing", r"page\.md, nothing: expected a result at .*nothing\.json"),
        ("latency cold", r"table out of \['hot', 'layers'\], got 'cold'"),
        ("latency hot engine=z", "rows of 'hot' with engine=z, got none"),
    ],
)
def test_markers_without_a_result_are_errors(tmp_path, results, marker, message):
    with pytest.raises(BenchmarkError, match=message):
        report.fill(document(tmp_path, marker), results)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- benchmarks: latency -->\n",
        "<!-- end of benchmarks -->\n",
        "<!-- benchmarks: latency -->\n<!-- benchmarks: latency -->\n<!-- end of benchmarks -->\n",
    ],
)
def test_markers_come_in_pairs(tmp_path, results, text):
    (tmp_path / "page.md").write_text(text)

    with pytest.raises(BenchmarkError, match="after each of"):
        report.fill(tmp_path / "page.md", results)


def test_one_bad_document_leaves_all_as_they_were(tmp_path, results):
    good = document(tmp_path, "latency")
    before = good.read_text()

    with pytest.raises(BenchmarkError, match="expected a document at"):
        run(results, "--docs", good, tmp_path / "missing.md")
    assert good.read_text() == before


def test_the_documents_are_what_the_results_say():
    # After new results: python -m benchmarks report
    for page in report.DOCUMENTS:
        text, pictures = report.fill(page, RESULTS, allow_dirty=True)
        assert text == page.read_text(encoding="utf-8"), page
        assert all(picture.is_file() for picture in pictures)
    assert report.DOCUMENTS[0] == ROOT / "README.md"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("macs", "MACs"),
        ("weight_bytes", "weight bytes"),
        ("p90_ms", "p90, ms"),
        ("macs_per_byte", "MACs per byte"),
    ],
)
def test_headings_say_the_unit(column, words):
    assert heading(column) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (1234.56, "1,235"),
        (0.123456, "0.1235"),
        (0, "0"),
        ("word", "word"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text
