"""Core ML's backend: what it hands over and what it checks, with a stand-in for the engine."""

import enum
import gc
import importlib
import platform
import stat
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from atpn_mobile.backends.coreml import INSTALL_HINT, CoremlBackend, to_picture
from atpn_mobile.errors import (
    AtpnError,
    BackendUnavailableError,
    ConfigError,
    ModelMismatchError,
)
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec

SIDE = 4
SPEC = ModelSpec(
    "toy",
    InputSpec("image", (1, 3, SIDE, SIDE), "NCHW"),
    (OutputSpec("mean", (1, 3)), OutputSpec("size", (1, 1))),
)
IMAGE = np.arange(3 * SIDE * SIDE, dtype=np.float32).reshape(SPEC.input.shape)
FILES = {"Manifest.json": b"{}", "Data/com.apple.CoreML/model.mlmodel": b"program"}


class ComputeUnit(enum.Enum):
    ALL = 1
    CPU_AND_GPU = 2
    CPU_ONLY = 3
    CPU_AND_NE = 4


class FakeModel:
    """Gives the mean colour and the number of pixels of its picture."""

    made: list["FakeModel"]
    failure: Exception | None = None
    warning: str | None = None
    values: dict[str, np.ndarray] | None = None
    side = SIDE

    def __init__(self, path, compute_units):
        self.path, self.compute_units = Path(path), compute_units
        self.mode = stat.S_IMODE(self.path.parent.stat().st_mode)
        self.files = {
            file.relative_to(path).as_posix(): file.read_bytes()
            for file in self.path.rglob("*")
            if file.is_file()
        }
        FakeModel.made.append(self)
        if FakeModel.warning:
            warnings.warn(FakeModel.warning, RuntimeWarning, stacklevel=2)
        if FakeModel.failure:
            raise FakeModel.failure

    def get_spec(self):
        picture = SimpleNamespace(height=FakeModel.side, width=FakeModel.side)
        outputs = [("mean", [1, 3]), ("size", [1, 1])]
        return SimpleNamespace(
            description=SimpleNamespace(
                input=[SimpleNamespace(name="image", type=SimpleNamespace(imageType=picture))],
                output=[
                    SimpleNamespace(
                        name=name,
                        type=SimpleNamespace(multiArrayType=SimpleNamespace(shape=shape)),
                    )
                    for name, shape in outputs
                ],
            )
        )

    def predict(self, inputs):
        if FakeModel.failure:
            raise FakeModel.failure
        ((name, picture),) = inputs.items()
        assert (name, picture.mode) == ("image", "RGB")
        self.pixels = np.asarray(picture.pixels)
        if FakeModel.values is None:
            mean = self.pixels.mean(axis=(0, 1))[np.newaxis]  # float64, as some versions give
            FakeModel.values = {"mean": mean, "size": np.full((1, 1), SIDE * SIDE, np.float32)}
        return FakeModel.values


@pytest.fixture
def mac(monkeypatch, tmp_path):
    """A Mac with coremltools and Pillow; gives the folder for temporary files."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    engine = ModuleType("coremltools")
    engine.ComputeUnit = ComputeUnit
    engine.models = SimpleNamespace(MLModel=FakeModel)
    pictures = ModuleType("PIL.Image")
    pictures.fromarray = lambda pixels: SimpleNamespace(pixels=pixels, mode="RGB")
    package = ModuleType("PIL")
    package.Image = pictures
    for name, module in (("coremltools", engine), ("PIL", package), ("PIL.Image", pictures)):
        monkeypatch.setitem(sys.modules, name, module)
    for name, value in (("failure", None), ("warning", None), ("values", None), ("side", SIDE)):
        monkeypatch.setattr(FakeModel, name, value)
    monkeypatch.setattr(FakeModel, "made", [], raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_elsewhere_it_says_where_core_ml_runs(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(
        BackendUnavailableError,
        match="this is linux: Core ML runs on macOS and iOS only; use the backend 'onnx' or 'tfl",
    ):
        CoremlBackend(FILES, SPEC)


def test_an_old_mac(mac, monkeypatch):
    monkeypatch.setattr(platform, "mac_ver", lambda: ("12.6.1", ("", "", ""), "x86_64"))
    with pytest.raises(BackendUnavailableError, match=r"macOS 13 or newer, got 12\.6\.1"):
        CoremlBackend(FILES, SPEC)


@pytest.mark.parametrize("missing", ["coremltools", "PIL.Image"])
def test_not_installed(mac, monkeypatch, missing):
    load = importlib.import_module

    def fail(name):
        if name == missing:
            raise ImportError(f"No module named {name!r}")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(BackendUnavailableError, match=f"expected {missing}, .*{INSTALL_HINT}"):
        CoremlBackend(FILES, SPEC)


def test_writes_the_files_where_nobody_else_reads_them(mac):
    backend = CoremlBackend(FILES, SPEC)
    (model,) = FakeModel.made
    assert model.files == FILES
    assert model.path.suffix == ".mlpackage"
    assert model.mode == 0o700
    assert model.path.is_relative_to(mac)
    assert (backend.name, backend.spec) == ("coreml", SPEC)
    backend.close()
    assert list(mac.iterdir()) == []
    backend.close()
    with pytest.raises(AtpnError, match="open backend, model 'toy' was closed"):
        backend.run({"image": IMAGE})


def test_a_backend_that_is_forgotten_leaves_nothing_behind(mac):
    backend = CoremlBackend(FILES, SPEC)
    assert len(list(mac.iterdir())) == 1
    del backend
    FakeModel.made.clear()
    gc.collect()
    assert list(mac.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ({}, ComputeUnit.ALL),
        ({"compute_units": "cpu"}, ComputeUnit.CPU_ONLY),
        ({"compute_units": "cpu_and_gpu"}, ComputeUnit.CPU_AND_GPU),
        ({"compute_units": "cpu_and_ane", "num_threads": 4}, ComputeUnit.CPU_AND_NE),
    ],
)
def test_compute_units(mac, options, unit):
    CoremlBackend(FILES, SPEC, **options).close()
    assert [model.compute_units for model in FakeModel.made] == [unit]


def test_unknown_compute_units(mac):
    with pytest.raises(ConfigError, match=r"compute_units out of \['all', .*\], got 'gpu'"):
        CoremlBackend(FILES, SPEC, compute_units="gpu")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_runs_on_a_picture(mac, layout):
    shape = SPEC.input.shape if layout == "NCHW" else (1, SIDE, SIDE, 3)
    image = IMAGE if layout == "NCHW" else np.ascontiguousarray(IMAGE.transpose(0, 2, 3, 1))
    backend = CoremlBackend(FILES, replace(SPEC, input=InputSpec("image", shape, layout)))
    outputs = backend.run({"image": image})
    (model,) = FakeModel.made
    assert model.pixels.dtype == np.uint8
    np.testing.assert_array_equal(model.pixels, IMAGE[0].transpose(1, 2, 0))
    assert {name: one.dtype for name, one in outputs.items()} == {
        "mean": np.float32,
        "size": np.float32,
    }
    np.testing.assert_array_equal(outputs["mean"], IMAGE.mean(axis=(2, 3)))
    assert outputs["size"].tolist() == [[16.0]]
    backend.close()


def test_outputs_are_the_callers_to_keep(mac):
    backend = CoremlBackend(FILES, SPEC)
    first = backend.run({"image": IMAGE})
    FakeModel.values["size"][:] = 0.0  # the engine uses its memory again
    assert first["size"].tolist() == [[16.0]]
    backend.close()


def test_a_picture_has_whole_numbers_of_8_bits():
    tensor = np.array([-3.0, 0.4, 0.6, 1.5, 254.6, 300.0] * 2, np.float32).reshape(1, 3, 2, 2)
    picture = to_picture(tensor, "NCHW")
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    expected = np.array([0, 0, 1, 2, 255, 255] * 2).reshape(3, 2, 2).transpose(1, 2, 0)
    np.testing.assert_array_equal(picture, expected)
    np.testing.assert_array_equal(to_picture(tensor.transpose(0, 2, 3, 1), "NHWC"), expected)


def test_inputs_are_checked(mac):
    backend = CoremlBackend(FILES, SPEC)
    for inputs in ({}, {"image": IMAGE[0]}, {"image": IMAGE.astype(np.float64)}):
        with pytest.raises(ModelMismatchError, match="expected inputs of model 'toy'"):
            backend.run(inputs)
    backend.close()


def test_outputs_are_checked(mac):
    backend = CoremlBackend(FILES, SPEC)
    FakeModel.values = {"mean": np.zeros((1, 3)), "size": np.zeros(1)}
    with pytest.raises(ModelMismatchError, match="expected outputs of model 'toy'"):
        backend.run({"image": IMAGE})
    backend.close()


def test_an_error_while_it_runs(mac):
    backend = CoremlBackend(FILES, SPEC)
    FakeModel.failure = RuntimeError("the Neural Engine is busy")
    with pytest.raises(AtpnError, match="Core ML to run 'toy': the Neural Engine is busy"):
        backend.run({"image": IMAGE})
    backend.close()


def fail_to_load():
    FakeModel.failure = RuntimeError("no such operation")


def warn_that_it_will_not_run():
    FakeModel.warning = "You will not be able to run predict()"


def be_of_another_size():
    FakeModel.side = SIDE + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fail_to_load, "that Core ML cannot load: no such operation"),
        (warn_that_it_will_not_run, "that Core ML cannot load: You will not be able"),
        (be_of_another_size, r"expected input and outputs .*\(4, 4\).* got .*\(5, 5\)"),
    ],
)
def test_a_folder_that_is_not_the_declared_network(mac, change, message):
    change()
    with pytest.raises(ModelMismatchError, match=message):
        CoremlBackend(FILES, SPEC)
    assert list(mac.iterdir()) == []


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, input=InputSpec("picture", SPEC.input.shape, "NCHW")),
        replace(SPEC, outputs=SPEC.outputs[:1]),
        replace(SPEC, outputs=(OutputSpec("mean", (1, 4)), SPEC.outputs[1])),
    ],
)
def test_a_declaration_that_is_not_the_folder(mac, spec):
    with pytest.raises(ModelMismatchError, match=r"expected input and outputs .* of model 'toy'"):
        CoremlBackend(FILES, spec)
    assert list(mac.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_files_outside_of_the_package_are_not_written(mac, name):
    with pytest.raises(ModelMismatchError, match=r"files inside of the \.mlpackage"):
        CoremlBackend({**FILES, name: b""}, SPEC)
    assert list(mac.iterdir()) == []


def test_one_file_is_no_package(mac):
    with pytest.raises(ModelMismatchError, match="folder of model 'toy', got one file of 4 bytes"):
        CoremlBackend(b"1234", SPEC)
