"""The backend of .tflite files, on networks written by hand: no converter is needed."""

import importlib
import importlib.util
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from atpn_mobile.backends import tflite
from atpn_mobile.backends.tflite import ENGINE_MODULES, INSTALL_HINT, TfliteBackend
from atpn_mobile.errors import AtpnError, BackendUnavailableError, ModelMismatchError
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec

pytest.importorskip("ai_edge_litert", reason="runs the .tflite files")

from ai_edge_litert import schema_py_generated as schema

flatbuffers = pytest.importorskip("flatbuffers", reason="writes the .tflite files")

SIDE = 4
SHAPE = (1, SIDE, SIDE, 3)
SPEC = ModelSpec(
    "toy",
    InputSpec("image", SHAPE, "NHWC"),
    (OutputSpec("mean", (1, 3)), OutputSpec("doubled", SHAPE)),
)
IMAGE = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
FLOAT32, INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT32


def toy_model(*, shape=SHAPE, kind=FLOAT32, names=("image", "mean", "doubled"), signature=True):
    """A network without weights: the mean of each channel, and the picture times two.

    Its outputs stand in another order than in the specification.
    """
    graph = schema.SubGraphT()
    shapes = (shape, (1, shape[-1]), shape)
    suffix = "_tensor" if signature else ""
    graph.tensors = [
        schema.TensorT(shape=list(size), type=kind, name=name + suffix)
        for name, size in zip(names, shapes, strict=True)
    ]
    graph.tensors.append(schema.TensorT(shape=[2], type=INT32, buffer=1, name="axes"))
    graph.inputs, graph.outputs = [0], [2, 1]
    graph.operators = [
        schema.OperatorT(
            opcodeIndex=0,
            inputs=[0, 0],
            outputs=[2],
            builtinOptionsType=schema.BuiltinOptions.AddOptions,
            builtinOptions=schema.AddOptionsT(),
        ),
        schema.OperatorT(
            opcodeIndex=1,
            inputs=[0, 3],
            outputs=[1],
            builtinOptionsType=schema.BuiltinOptions.ReducerOptions,
            builtinOptions=schema.ReducerOptionsT(),
        ),
    ]
    codes = (schema.BuiltinOperator.ADD, schema.BuiltinOperator.MEAN)
    model = schema.ModelT(
        version=3,
        operatorCodes=[schema.OperatorCodeT(deprecatedBuiltinCode=c, builtinCode=c) for c in codes],
        subgraphs=[graph],
        buffers=[
            schema.BufferT(),
            schema.BufferT(data=np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)),
        ],
    )
    if signature:
        model.signatureDefs = [
            schema.SignatureDefT(
                inputs=[schema.TensorMapT(name=names[0], tensorIndex=0)],
                outputs=[
                    schema.TensorMapT(name=names[2], tensorIndex=2),
                    schema.TensorMapT(name=names[1], tensorIndex=1),
                ],
                signatureKey="serving_default",
            )
        ]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("signature", [True, False])
def test_outputs_are_found_by_name(signature):
    backend = TfliteBackend(toy_model(signature=signature), SPEC)
    outputs = backend.run({"image": IMAGE})
    assert sorted(outputs) == ["doubled", "mean"]
    np.testing.assert_allclose(outputs["mean"], IMAGE.mean(axis=(1, 2)))
    np.testing.assert_array_equal(outputs["doubled"], IMAGE * 2)
    assert backend.name == "tflite"
    assert backend.spec is SPEC


def test_outputs_of_one_run_survive_the_next():
    backend = TfliteBackend(toy_model(), SPEC)
    first = backend.run({"image": IMAGE})
    second = backend.run({"image": IMAGE * 0})
    backend.close()
    np.testing.assert_array_equal(first["doubled"], IMAGE * 2)
    np.testing.assert_array_equal(second["doubled"], IMAGE * 0)
    first["doubled"] += 1.0  # the caller's to keep


def test_the_input_may_lie_in_memory_as_it_likes():
    backend = TfliteBackend(toy_model(), SPEC)
    image = np.ascontiguousarray(IMAGE.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    assert not image.flags.c_contiguous
    np.testing.assert_array_equal(backend.run({"image": image})["doubled"], IMAGE * 2)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_num_threads_reach_the_engine(monkeypatch, num_threads):
    engine = importlib.import_module("ai_edge_litert.interpreter")
    asked = []

    class Spy(engine.Interpreter):
        def __init__(self, **options):
            asked.append(options["num_threads"])
            super().__init__(**options)

    monkeypatch.setattr(engine, "Interpreter", Spy)
    TfliteBackend(toy_model(), SPEC, num_threads=num_threads)
    assert asked == [num_threads]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "cannot load"),
        (b"no flatbuffer at all", "cannot load"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(500), "cannot load"),
        (toy_model()[:-20], "cannot load"),  # cut off
        (toy_model(shape=(1, SIDE, 5, 3)), "inputs of model 'toy'.*5"),
        (toy_model(kind=INT32), "int32"),
        (toy_model(names=("picture", "mean", "doubled")), "inputs of model 'toy'.*picture"),
        (toy_model(names=("image", "mean", "twice")), "outputs of model 'toy'.*twice"),
        ({"toy.tflite": b""}, "in one file, got a folder"),
    ],
)
def test_a_file_that_is_not_the_declared_network(contents, message):
    with pytest.raises(ModelMismatchError, match=message):
        TfliteBackend(contents, SPEC)


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("toy", SPEC.input, SPEC.outputs[:1]),  # the file gives more than declared
        ModelSpec("toy", SPEC.input, (*SPEC.outputs, OutputSpec("pose", (1, 3)))),
        ModelSpec("toy", SPEC.input, (OutputSpec("mean", (1, 4)), SPEC.outputs[1])),
    ],
)
def test_a_declaration_that_is_not_the_file(spec):
    with pytest.raises(ModelMismatchError, match=r"expected outputs of model 'toy'.*got"):
        TfliteBackend(toy_model(), spec)


def altered_model(change):
    """The toy network with its tables changed."""
    model = schema.ModelT.InitFromPackedBuf(toy_model(), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_tensor_of_absurd_size_is_refused_before_memory_is_taken():
    def grow(model):
        model.subgraphs[0].tensors[2].shape = [1, 1 << 20, 1 << 10, 3]  # 12 GiB

    with pytest.raises(ModelMismatchError, match=r"at most 268435456 bytes.*has 12884901888"):
        TfliteBackend(altered_model(grow), SPEC)


@pytest.mark.parametrize("scale", [4044.0, 1e30, np.inf, np.nan, -0.01])
def test_an_absurd_scale_is_refused(scale):
    def rescale(model):
        model.subgraphs[0].tensors[1].quantization = schema.QuantizationParametersT(
            scale=[0.5, scale, 0.5], zeroPoint=[0, 0, 0], quantizedDimension=1
        )

    with pytest.raises(ModelMismatchError, match="scales from 0 to 256"):
        TfliteBackend(altered_model(rescale), SPEC)


def test_a_network_that_fails_while_it_runs_is_named(monkeypatch):
    backend = TfliteBackend(toy_model(), SPEC)

    def fail():
        raise RuntimeError("Input tensor 167 lacks data")

    monkeypatch.setattr(backend._interpreter, "invoke", fail)
    with pytest.raises(ModelMismatchError, match=r"'toy' to run.*lacks data"):
        backend.run({"image": IMAGE})


def test_a_damaged_file_is_refused_or_runs(tmp_path):
    # What is wrong is an error of ours, not the end of the process; another one, to be sure.
    for seed in range(60):
        rng = np.random.default_rng(seed)
        contents = bytearray(toy_model())
        for place in rng.integers(8, len(contents), 3):
            contents[place] = rng.integers(256)
        (tmp_path / f"{seed}.tflite").write_bytes(contents)
    code = f"""
import sys
from pathlib import Path
import numpy as np
from atpn_mobile.backends.tflite import TfliteBackend
from atpn_mobile.errors import ModelMismatchError
from atpn_mobile.manifest import InputSpec, ModelSpec, OutputSpec
spec = {SPEC!r}
refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        TfliteBackend(path.read_bytes(), spec).run({{"image": np.zeros({SHAPE}, np.float32)}})
    except ModelMismatchError:
        refused += 1
print(refused)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 20 < int(done.stdout) <= 60


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
    backend = TfliteBackend(toy_model(), SPEC)
    with pytest.raises(ModelMismatchError, match="expected inputs of model 'toy'"):
        backend.run(inputs)


def test_a_closed_backend_does_not_run():
    backend = TfliteBackend(toy_model(), SPEC)
    backend.close()
    backend.close()
    with pytest.raises(AtpnError, match="closed"):
        backend.run({"image": IMAGE})


def test_two_threads_share_a_backend():
    # The engine lets other threads in while it runs, and keeps one input.
    backend = TfliteBackend(toy_model(), SPEC)
    engine, running, most = backend._interpreter, [], []

    def invoke():
        running.append(1)
        most.append(len(running))
        time.sleep(0.002)
        engine.invoke()
        running.pop()

    backend._interpreter = SimpleNamespace(
        set_tensor=engine.set_tensor, get_tensor=engine.get_tensor, invoke=invoke
    )
    wrong = []

    def work(factor):
        for _ in range(10):
            result = backend.run({"image": IMAGE * factor})["doubled"]
            if not np.array_equal(result, IMAGE * (2 * factor)):
                wrong.append(factor)

    threads = [threading.Thread(target=work, args=(np.float32(n),)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert max(most) == 1


def test_each_thread_its_own_backend():
    results = {}

    def work(factor):
        backend = TfliteBackend(toy_model(), SPEC)
        results[factor] = [backend.run({"image": IMAGE * factor})["doubled"] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(np.float32(n),)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for factor, found in results.items():
        assert all(np.array_equal(one, IMAGE * (2 * factor)) for one in found)
    assert len(results) == 2


# --- where the engine comes from ---


class Engine:
    """An engine that is enough to be chosen."""


@pytest.fixture
def install(monkeypatch):
    """Pretend that some modules are installed; an exception is what their import raises."""

    def set_installed(numpy="2.4.6", **modules):
        monkeypatch.setattr(np, "__version__", numpy)
        monkeypatch.setattr(importlib.util, "find_spec", modules.get)

        def load(name):
            found = modules[name.split(".")[0]]
            if isinstance(found, Exception):
                raise found
            return SimpleNamespace(Interpreter=found)

        monkeypatch.setattr(importlib, "import_module", load)

    return set_installed


def test_engines_in_order_of_preference(install):
    newest, older, largest = (type(name, (), {}) for name in ("Newest", "Older", "Largest"))
    install("1.26.4", ai_edge_litert=newest, tflite_runtime=older, tensorflow=largest)
    assert tflite._import_interpreter() is newest
    install("1.26.4", tflite_runtime=older, tensorflow=largest)
    assert tflite._import_interpreter() is older
    install("1.26.4", tensorflow=largest)
    assert tflite._import_interpreter() is largest
    assert ENGINE_MODULES == ("ai_edge_litert", "tflite_runtime", "tensorflow")


def test_tflite_runtime_does_not_work_with_numpy_2(install):
    install("2.4.6", tflite_runtime=Engine)
    expected = r"tflite-runtime is built for NumPy 1, this is NumPy 2\.4\.6.*pip install ai-edge-"
    with pytest.raises(BackendUnavailableError, match=expected):
        TfliteBackend(toy_model(), SPEC)
    install("2.4.6", tflite_runtime=Engine, tensorflow=Engine)
    assert tflite._import_interpreter() is Engine


def test_an_engine_that_cannot_be_imported(install):
    broken = ImportError("libc is too old")
    install(ai_edge_litert=broken, tensorflow=Engine)
    assert tflite._import_interpreter() is Engine
    install(ai_edge_litert=broken)
    with pytest.raises(BackendUnavailableError, match=r"libc is too old.*pip install"):
        TfliteBackend(toy_model(), SPEC)


def test_no_engine(install):
    install()
    with pytest.raises(BackendUnavailableError, match=f"none of .* is installed.*{INSTALL_HINT}"):
        TfliteBackend(toy_model(), SPEC)
