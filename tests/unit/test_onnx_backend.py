import hashlib
import importlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from atpn_mobile.backends import available_backends, create_backend, engines
from atpn_mobile.backends.onnx import NO_REPORTS, OnnxBackend
from atpn_mobile.errors import (
    AtpnError,
    BackendUnavailableError,
    ChecksumError,
    ModelMismatchError,
    ModelNotFoundError,
)
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec, load_manifest

SIDE = 4
SPEC = ModelSpec(
    "toy",
    InputSpec("image", (1, 3, SIDE, SIDE), "NCHW"),
    (OutputSpec("mean", (1, 3)), OutputSpec("doubled", (1, 3, SIDE, SIDE))),
)
IMAGE = np.arange(3 * SIDE * SIDE, dtype=np.float32).reshape(SPEC.input.shape)


def serialize(nodes, outputs, *, input_shape=SPEC.input.shape, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", kind, input_shape)],
        [helper.make_tensor_value_info(*output) for output in outputs],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def toy_model(*, input_shape=SPEC.input.shape, mean_shape=(1, 3), kind=TensorProto.FLOAT):
    """A network without weights: the mean of each channel, and the picture times two."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["image", "image"], ["doubled"]),
    ]
    outputs = [("mean", kind, mean_shape), ("doubled", kind, input_shape)]
    return serialize(nodes, outputs, input_shape=input_shape, kind=kind)


def write_manifest(folder, contents, **changes):
    document = {
        "schema_version": 1,
        "models": [
            {
                "name": "toy",
                "version": "1",
                "task": "alignment",
                "input": {
                    "name": "image",
                    "shape": list(SPEC.input.shape),
                    "layout": "NCHW",
                    "color": "RGB",
                    "range": [0, 255],
                    "dtype": "float32",
                },
                "outputs": [
                    {"name": output.name, "shape": list(output.shape), "meaning": "a test"}
                    for output in SPEC.outputs
                ],
                "landmark_scheme": None,
                "parameters": 0,
                "macs": 0,
                "metrics": [],
                "license": "none",
                "training_data": "none",
                "artifacts": [
                    {
                        "runtime": "onnx",
                        "precision": "float32",
                        "path": "toy.onnx",
                        "sha256": hashlib.sha256(contents).hexdigest(),
                        "bytes": len(contents),
                        "parity": {},
                        "tools": {},
                        **changes,
                    }
                ],
            }
        ],
    }
    (folder / "toy.onnx").write_bytes(contents)
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    return load_manifest(folder)


def test_runs_the_network():
    outputs = OnnxBackend(toy_model(), SPEC).run({"image": IMAGE})
    assert sorted(outputs) == ["doubled", "mean"]
    np.testing.assert_allclose(outputs["mean"], IMAGE.mean(axis=(2, 3)))
    np.testing.assert_array_equal(outputs["doubled"], IMAGE * 2)


def test_outputs_of_one_run_survive_the_next():
    backend = OnnxBackend(toy_model(), SPEC)
    first = backend.run({"image": IMAGE})["doubled"]
    backend.run({"image": IMAGE * 0})
    np.testing.assert_array_equal(first, IMAGE * 2)


def test_a_free_batch_dimension_is_allowed():
    model = toy_model(input_shape=("batch", 3, SIDE, SIDE), mean_shape=("batch", 3))
    assert OnnxBackend(model, SPEC).run({"image": IMAGE})["mean"].shape == (1, 3)


def test_num_threads_reach_the_engine():
    for num_threads in (1, 3):
        backend = OnnxBackend(toy_model(), SPEC, num_threads=num_threads)
        options = backend._session.get_session_options()
        assert options.intra_op_num_threads == num_threads
        assert options.inter_op_num_threads == 1
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "cannot load"),
        (b"no protobuf at all", "cannot load"),
        (toy_model()[:-20], "cannot load"),  # cut off
        (toy_model(input_shape=(1, 3, SIDE, 5)), "inputs of model 'toy'.*5"),
        (toy_model(kind=TensorProto.DOUBLE), r"tensor\(double\)"),
    ],
)
def test_a_file_that_is_not_the_declared_network(contents, message):
    with pytest.raises(ModelMismatchError, match=message):
        OnnxBackend(contents, SPEC)


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("toy", InputSpec("picture", SPEC.input.shape, "NCHW"), SPEC.outputs),
        ModelSpec("toy", SPEC.input, SPEC.outputs[:1]),  # the file gives more than declared
        ModelSpec("toy", SPEC.input, (*SPEC.outputs, OutputSpec("pose", (1, 3)))),
        ModelSpec("toy", SPEC.input, (OutputSpec("mean", (1, 4)), SPEC.outputs[1])),
        ModelSpec("toy", SPEC.input, (OutputSpec("mean", (1, 3, 1)), SPEC.outputs[1])),
    ],
)
def test_a_declaration_that_is_not_the_file(spec):
    with pytest.raises(ModelMismatchError, match=r"expected (in|out)puts of model 'toy'.*got"):
        OnnxBackend(toy_model(), spec)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"picture": IMAGE},
        {"image": IMAGE, "more": IMAGE},
        {"image": IMAGE[0]},
        {"image": IMAGE.astype(np.float64)},
        {"image": np.repeat(IMAGE, 2, axis=0)},
    ],
)
def test_inputs_are_checked(inputs):
    backend = OnnxBackend(toy_model(), SPEC)
    with pytest.raises(ModelMismatchError, match="expected inputs of model 'toy'"):
        backend.run(inputs)


def test_outputs_are_checked_where_the_file_leaves_their_shape_open():
    nodes = [
        helper.make_node("NonZero", ["image"], ["indices"]),
        helper.make_node("Cast", ["indices"], ["points"], to=TensorProto.FLOAT),
    ]
    spec = ModelSpec("toy", SPEC.input, (OutputSpec("points", (4, 7)),))
    backend = OnnxBackend(serialize(nodes, [("points", TensorProto.FLOAT, (4, "n"))]), spec)
    image = np.zeros_like(IMAGE)
    image.flat[:7] = 1.0
    assert backend.run({"image": image})["points"].shape == (4, 7)
    image.flat[:8] = 1.0
    with pytest.raises(ModelMismatchError, match=r"outputs of model 'toy'.*\(4, 7\).*\(4, 8\)"):
        backend.run({"image": image})


def test_a_network_that_fails_while_it_runs_is_named():
    nodes = [
        helper.make_node("Cast", ["image"], ["indices"], to=TensorProto.INT64),
        helper.make_node("Gather", ["image", "indices"], ["picked"], axis=3),
        helper.make_node("ReduceMax", ["picked"], ["largest"], keepdims=0),
    ]
    spec = ModelSpec("toy", SPEC.input, (OutputSpec("largest", ()),))
    backend = OnnxBackend(serialize(nodes, [("largest", TensorProto.FLOAT, ())]), spec)
    assert backend.run({"image": np.ones_like(IMAGE)})["largest"] == 1.0
    with pytest.raises(ModelMismatchError, match=r"expected model 'toy' to run.*failed"):
        backend.run({"image": np.full_like(IMAGE, 99.0)})  # there are no 99 columns


def test_a_damaged_text_is_refused_without_a_banner(capsys):
    contents = toy_model().replace(b"ReduceMean", b"Reduce\xffean")
    with pytest.raises(ModelMismatchError, match="cannot load"):
        OnnxBackend(contents, SPEC)
    assert capsys.readouterr().out == ""


def test_a_closed_backend_does_not_run():
    backend = OnnxBackend(toy_model(), SPEC)
    backend.close()
    backend.close()
    with pytest.raises(AtpnError, match="closed"):
        backend.run({"image": IMAGE})


@pytest.mark.parametrize("name", ["onnx", "auto"])
def test_create_backend(tmp_path, name):
    backend = create_backend(name, write_manifest(tmp_path, toy_model()), "toy")
    assert backend.name == "onnx"
    assert backend.spec == ModelSpec(
        "toy", SPEC.input, tuple(OutputSpec(o.name, o.shape, "a test") for o in SPEC.outputs)
    )
    np.testing.assert_array_equal(backend.run({"image": IMAGE})["doubled"], IMAGE * 2)


def test_create_backend_passes_the_number_of_threads(tmp_path):
    manifest = write_manifest(tmp_path, toy_model())
    backend = create_backend("onnx", manifest, "toy", num_threads=2)
    assert backend._session.get_session_options().intra_op_num_threads == 2


def test_create_backend_runs_the_bytes_that_were_checked(tmp_path):
    manifest = write_manifest(tmp_path, toy_model())
    (tmp_path / "toy.onnx").write_bytes(toy_model(mean_shape=("a", "b")))
    with pytest.raises(ChecksumError):
        create_backend("onnx", manifest, "toy")


def test_create_backend_without_a_fitting_file(tmp_path):
    manifest = write_manifest(tmp_path, toy_model(), runtime="coreml", precision="float16")
    has = r"the manifest has \[\('coreml', 'float16'\)\]"
    with pytest.raises(ModelNotFoundError, match=r"for an installed engine \(onnx.*" + has):
        create_backend("auto", manifest, "toy")
    with pytest.raises(ModelNotFoundError, match=r"in float32 for engine 'onnx', " + has):
        create_backend("onnx", manifest, "toy", "float32")
    with pytest.raises(ModelNotFoundError, match="'other'"):
        create_backend("auto", manifest, "other")


def test_an_unknown_engine_is_named(tmp_path):
    manifest = write_manifest(tmp_path, toy_model())
    with pytest.raises(BackendUnavailableError, match=r"out of 'auto', 'onnx'.*got 'onyx'"):
        create_backend("onyx", manifest, "toy")


def test_every_engine_is_told_with_its_modules_and_how_to_get_it():
    told = [(engine.name, engine.modules, engine.install_hint) for engine in engines()]
    assert told == [
        ("onnx", ("onnxruntime",), "pip install onnxruntime"),
        (
            "tflite",
            ("ai_edge_litert", "tflite_runtime", "tensorflow"),
            "pip install ai-edge-litert",
        ),
        ("coreml", ("coremltools",), "pip install coremltools pillow"),
    ]


def test_available_backends(monkeypatch):
    found = {"onnxruntime", "tflite_runtime", "coremltools"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in found else None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert available_backends() == ("onnx", "tflite")
    assert [engine.module for engine in engines()] == ["onnxruntime", "tflite_runtime", None]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert available_backends() == ("onnx", "tflite", "coreml")


def write_files(folder, kinds):
    """A manifest of one model in several files, all of them the same ONNX file."""
    path = write_manifest(folder, toy_model()).folder / "manifest.json"
    document = json.loads(path.read_text())
    (artifact,) = document["models"][0]["artifacts"]
    document["models"][0]["artifacts"] = [
        {**artifact, "runtime": runtime, "precision": precision} for runtime, precision in kinds
    ]
    path.write_text(json.dumps(document))
    return load_manifest(path)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["int8", "float16", "float32"], "float32"),
        (["int8", "float16"], "float16"),
        (["int8", "int8_weights"], "int8_weights"),
        (["int8"], "int8"),
    ],
)
def test_auto_takes_the_most_exact_file(tmp_path, monkeypatch, offered, chosen):
    manifest = write_files(tmp_path, [("onnx", precision) for precision in offered])
    read = []
    reader = type(manifest).read_artifact
    monkeypatch.setattr(
        type(manifest),
        "read_artifact",
        lambda self, artifact: read.append(artifact.precision) or reader(self, artifact),
    )
    for name in ("auto", "onnx"):
        create_backend(name, manifest, "toy").close()
    assert read == [chosen, chosen]


def test_auto_does_not_take_what_was_never_asked_for(tmp_path):
    manifest = write_files(tmp_path, [("onnx", "palettized4")])
    with pytest.raises(ModelNotFoundError, match=r"the manifest has \[\('onnx', 'palettized4'\)\]"):
        create_backend("onnx", manifest, "toy")
    create_backend("onnx", manifest, "toy", "palettized4").close()


def test_auto_takes_an_engine_that_has_a_file(tmp_path, monkeypatch):
    manifest = write_files(tmp_path, [("tflite", "float32"), ("onnx", "int8")])
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name if name == "onnxruntime" else None
    )
    assert create_backend("auto", manifest, "toy").name == "onnx"


def test_an_engine_that_is_not_installed(tmp_path, monkeypatch):
    manifest = write_manifest(tmp_path, toy_model())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    def fail(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", fail)
    hint = "pip install onnxruntime"
    assert available_backends() == ()
    for name in ("auto", "onnx"):
        with pytest.raises(BackendUnavailableError, match=hint):
            create_backend(name, manifest, "toy")


def test_importing_the_package_loads_no_engine_and_prints_nothing():
    code = "import sys, atpn_mobile; sys.exit('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_engine_reports_nothing_and_leaves_no_identifier(tmp_path):
    code = (
        "import numpy as np; from atpn_mobile import FaceTracker; "
        "tracker = FaceTracker('onnx'); tracker.track(np.zeros((48, 64, 3), np.uint8))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in (*NO_REPORTS, "CI")}
    subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []
