"""The plugin's classifier, on instructions whose class is known."""

import ctypes
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.arm.counts import CLASSES

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "benchmarks" / "arm"
# Made with the GNU assembler; tests/arm assembles them again.
INSTRUCTIONS = json.loads((ROOT / "tests" / "arm" / "instructions.json").read_text("utf-8"))
PROGRAM = """
#include "classify.h"
int classes(void) { return CLASSES; }
const char *class_of(unsigned word) { return CLASS_NAMES[classify(word)]; }
const char *class_name(int index) { return CLASS_NAMES[index]; }
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here: the classifier of ARM instructions is NOT tested")
    folder = tmp_path_factory.mktemp("classifier")
    source, library = folder / "classifier.c", folder / "classifier.so"
    source.write_text(PROGRAM)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", f"-I{SOURCES}", "-o", library, source],
        check=True,
    )
    loaded = ctypes.CDLL(str(library))
    loaded.class_of.restype = loaded.class_name.restype = ctypes.c_char_p
    loaded.class_of.argtypes = [ctypes.c_uint]
    return loaded


@pytest.mark.parametrize("one", INSTRUCTIONS, ids=lambda one: one["assembly"])
def test_classifies(classifier, one):
    assert classifier.class_of(int(one["word"], 16)).decode() == one["class"]


def test_python_and_c_know_the_same_classes(classifier):
    names = [classifier.class_name(index).decode() for index in range(classifier.classes())]
    assert tuple(names) == CLASSES


def test_every_class_is_covered():
    assert {one["class"] for one in INSTRUCTIONS} == set(CLASSES)
