"""What users install: the runtime and its models, nothing else, working without torch."""

import os
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytest.importorskip("build", reason="building the wheel needs the package build")
pytest.importorskip("hatchling", reason="building the wheel needs the package hatchling")

ROOT = Path(__file__).parents[2]
EXTRAS = {"onnx", "tflite", "coreml", "convert", "train", "test", "dev", "ray"}

# Run in a fresh interpreter: imports every module of the installed wheel, with all that a user
# of the runtime does not have made unimportable.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
from pathlib import Path

target = Path(sys.argv[1])
sys.path.insert(0, str(target))
for name in ("torch", "tensorflow", "training", "converters", "benchmarks", "scipy", "matplotlib"):
    sys.modules[name] = None  # makes the import fail, installed or not

import atpn_mobile
assert Path(atpn_mobile.__file__).is_relative_to(target), atpn_mobile.__file__
for module in pkgutil.walk_packages(atpn_mobile.__path__, "atpn_mobile."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""

# Run in a fresh interpreter: the tracker of the installed wheel, with the models of the wheel.
TRACK_A_BLACK_FRAME = """
import sys
from pathlib import Path

import numpy as np

target = Path(sys.argv[1])
sys.path.insert(0, str(target))
sys.modules["torch"] = None

import atpn_mobile
assert Path(atpn_mobile.__file__).is_relative_to(target), atpn_mobile.__file__
with atpn_mobile.FaceTracker(backend="onnx") as tracker:
    print(len(tracker.track(np.zeros((240, 320, 3), np.uint8)).faces))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command; its whole output is in the failure when it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(out: Path, *options: str) -> Path:
    """The wheel that `python -m build` makes of the checkout."""
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", out, ROOT, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def model_files() -> set[Path]:
    """The files of the checkout's models/ that belong into the wheel."""
    folder = ROOT / "models"
    packages = {path for path in folder.glob("*.mlpackage/**/*") if path.is_file()}
    files = {*folder.glob("*.onnx"), *folder.glob("*.tflite"), *packages}
    return {*files, folder / "manifest.json", folder / "README.md"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--target", target)
    run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=target)
    return target


def test_holds_the_runtime_and_nothing_else(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in names(wheel)}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"atpn_mobile"}


def test_holds_every_module_of_the_runtime(wheel: Path) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "atpn_mobile").rglob("*.py")}
    assert {name for name in names(wheel) if name.endswith(".py")} == modules


def test_is_typed(wheel: Path) -> None:
    assert "atpn_mobile/py.typed" in names(wheel)


def test_holds_the_models_beside_the_package(wheel: Path) -> None:
    models = ROOT / "models"
    expected = {
        f"atpn_mobile/models/{path.relative_to(models).as_posix()}": path.read_bytes()
        for path in model_files()
    }
    with zipfile.ZipFile(wheel) as archive:
        got = {
            name: archive.read(name)
            for name in archive.namelist()
            if name.startswith("atpn_mobile/models/")
        }
    assert got.keys() == expected.keys()
    assert got == expected


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert names(build(tmp_path)) == names(wheel)


def test_needs_numpy_and_opencv_alone(metadata: Message) -> None:
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert {one.name for one in needed if one.marker is None} == {"numpy", "opencv-python-headless"}
    assert {one.name for one in needed if str(one.marker) == 'extra == "onnx"'} == {"onnxruntime"}


def test_offers_the_extras(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def test_version_is_the_packages(metadata: Message, installed: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from atpn_mobile import _version as v"
    version = run(sys.executable, "-I", "-c", f"{code}; print(v.__version__)", installed, cwd=ROOT)
    assert metadata["Version"] == version.strip()


def test_imports_without_torch(installed: Path, tmp_path: Path) -> None:
    out = run(sys.executable, "-I", "-W", "error", "-c", IMPORT_EVERYTHING, installed, cwd=tmp_path)
    assert "atpn_mobile.geometry" in out.split()


def test_tracks_with_its_own_models(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the engine onnxruntime")
    out = run(sys.executable, "-I", "-c", TRACK_A_BLACK_FRAME, installed, cwd=tmp_path)
    assert out.split() == ["0"]


def test_installs_the_command(installed: Path) -> None:
    (points,) = installed.glob("atpn_mobile-*.dist-info/entry_points.txt")
    assert "atpn = atpn_mobile.cli:main" in points.read_text(encoding="utf-8").splitlines()
