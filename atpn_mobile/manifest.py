"""models/manifest.json: which models there are, what they take and give, and proof of their files.

The reader is strict: a missing, mistyped or unknown field is an error that names the field.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias, TypeVar, cast

from atpn_mobile.errors import ChecksumError, ManifestError, ModelNotFoundError

SCHEMA_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"

Layout = Literal["NCHW", "NHWC"]
Task = Literal["alignment", "detection"]
# What a model is made of: a file, or the files of a folder by their relative POSIX paths.
Contents: TypeAlias = bytes | Mapping[str, bytes]

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The picture that a network takes: square, RGB, float32, values 0..255.

    Attributes:
        name: name of the tensor.
        shape: (1, 3, S, S) or (1, S, S, 3), as ``layout`` says.
        layout: order of the dimensions.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout

    @property
    def resolution(self) -> int:
        """Pixels on a side."""
        return self.shape[2]


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One result of a network.

    Attributes:
        name: name of the tensor.
        shape: its shape.
        meaning: what the numbers are, in words.
    """

    name: str
    shape: tuple[int, ...]
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a backend has to know of a network.

    Attributes:
        name: the model's name, for messages.
        input: what goes in.
        outputs: what comes out.
    """

    name: str
    input: InputSpec
    outputs: tuple[OutputSpec, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number measured on a model.

    Attributes:
        name: what was measured.
        value: the number.
        unit: its unit.
        data: the data it was measured on.
        command: the command that measures it again.
    """

    name: str
    value: float
    unit: str
    data: str
    command: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a model, or one folder where the format is a folder (.mlpackage).

    Attributes:
        runtime: the engine it is for: "onnx", "tflite", "coreml".
        precision: "float32", "float16", "int8", ...
        path: relative to the manifest.
        sha256: of the file, or of the folder's list of files; see ``contents_sha256``.
        size_bytes: of the file, or of all files of the folder.
        input: the file's own input where it differs from the model's, else None.
        parity: how far the file is from the reference, as numbers with what was compared.
        tools: versions of what made it.
    """

    runtime: str
    precision: str
    path: str
    sha256: str
    size_bytes: int
    input: InputSpec | None
    parity: Mapping[str, float | str]
    tools: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Model:
    """One network in all its files.

    Attributes:
        name: unique in the manifest.
        version: of the weights.
        task: what it is for.
        input: what goes in.
        outputs: what comes out.
        landmark_scheme: "wflw98", or None for a model without landmarks.
        parameters: number of weights.
        macs: multiply-adds of one run.
        metrics: what was measured.
        license: of the weights.
        training_data: what they were trained on.
        artifacts: the files.
    """

    name: str
    version: str
    task: Task
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    landmark_scheme: str | None
    parameters: int
    macs: int
    metrics: tuple[Metric, ...]
    license: str
    training_data: str
    artifacts: tuple[Artifact, ...]

    def spec(self, artifact: Artifact) -> ModelSpec:
        """What one of its files takes and gives."""
        return ModelSpec(self.name, artifact.input or self.input, self.outputs)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The models of one folder.

    Attributes:
        folder: where the manifest lies; artifact paths start here.
        models: the models.
    """

    folder: Path
    models: tuple[Model, ...]

    def model(self, name: str) -> Model:
        """The model of that name.

        Raises:
            ModelNotFoundError: there is none.
        """
        for model in self.models:
            if model.name == name:
                return model
        names = [model.name for model in self.models]
        raise ModelNotFoundError(f"expected a model out of {names} in {self.folder}, got {name!r}")

    def artifact(self, model: str, runtime: str, precision: str) -> Artifact:
        """The file of a model for an engine.

        Raises:
            ModelNotFoundError: the manifest has none.
        """
        artifacts = self.model(model).artifacts
        for artifact in artifacts:
            if (artifact.runtime, artifact.precision) == (runtime, precision):
                return artifact
        found = [(artifact.runtime, artifact.precision) for artifact in artifacts]
        raise ModelNotFoundError(
            f"expected a file of model {model!r} out of {found} (runtime, precision), "
            f"got {(runtime, precision)}"
        )

    def read_artifact(self, artifact: Artifact) -> Contents:
        """Read a file or folder and prove that it is the one described.

        Engines are built from these bytes, not from the path: a file that is exchanged after the
        check does not run.

        Raises:
            ModelNotFoundError: it is missing or cannot be read.
            ChecksumError: its size or SHA-256 differs.
        """
        path = self.folder / artifact.path
        try:
            contents = read_contents(path)
        except OSError as error:
            raise ModelNotFoundError(
                f"expected a model at {path}, it cannot be read: {error.strerror or error}"
            ) from error
        size = contents_size(contents)
        if size != artifact.size_bytes:
            raise ChecksumError(f"expected {artifact.size_bytes} bytes in {path}, got {size}")
        digest = contents_sha256(contents)
        if digest != artifact.sha256:
            raise ChecksumError(f"expected SHA-256 {artifact.sha256} of {path}, got {digest}")
        return contents


def read_contents(path: Path) -> Contents:
    """Read a file, or all files of a folder.

    Raises:
        OSError: it is missing or cannot be read.
    """
    if not path.is_dir():
        return path.read_bytes()
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def contents_size(contents: Contents) -> int:
    """Bytes of a file, or of all files of a folder together."""
    if isinstance(contents, bytes):
        return len(contents)
    return sum(len(file) for file in contents.values())


def contents_sha256(contents: Contents) -> str:
    r"""SHA-256 of a file, or of a folder's list of files, hexadecimal.

    The list has a line ``<SHA-256>  <relative path>`` per file, sorted by path: in the folder,
    ``find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum``.
    """
    if isinstance(contents, bytes):
        return hashlib.sha256(contents).hexdigest()
    lines = [f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def default_models_dir() -> Path:
    """The models that came with the package: inside it, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "models"
    return inside if (inside / MANIFEST_NAME).is_file() else package.parent / "models"


def load_manifest(path: Path | str | None = None) -> Manifest:
    """Read a manifest.

    Args:
        path: the file, or the folder it lies in; None for the models that came with the package.

    Raises:
        ManifestError: it is missing, is not JSON, or breaks the schema.
    """
    file = default_models_dir() if path is None else Path(path)
    if file.is_dir() or path is None:
        file = file / MANIFEST_NAME
    try:
        text = file.read_text(encoding="utf-8")
        document: object = json.loads(text, parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise ManifestError(
            f"expected a manifest at {file}, found none: pass --models DIR or models_dir"
        ) from error
    except OSError as error:
        raise ManifestError(
            f"expected a manifest at {file}, it cannot be read: {error.strerror or error}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"expected JSON in {file}, got something else: {error}") from error
    return Manifest(file.parent, _read_models(document, str(file)))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _read_models(document: object, where: str) -> tuple[Model, ...]:
    root = _Fields(document, where)
    version = root.integer("schema_version")
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"expected schema_version {SCHEMA_VERSION} in {where}, got {version}: this file was "
            "made for another release of the package"
        )
    models = root.each("models", _read_model)
    root.finish()
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise ManifestError(f"expected every name in {where}: models once, got {names}")
    return models


def _read_model(value: object, where: str) -> Model:
    fields = _Fields(value, where)
    model = Model(
        name=fields.text("name"),
        version=fields.text("version"),
        task=cast(Task, fields.choice("task", "alignment", "detection")),
        input=_read_input(fields.take("input"), f"{where}.input"),
        outputs=fields.each("outputs", _read_output),
        landmark_scheme=fields.optional_text("landmark_scheme"),
        parameters=fields.integer("parameters"),
        macs=fields.integer("macs"),
        metrics=fields.each("metrics", _read_metric),
        license=fields.text("license"),
        training_data=fields.text("training_data"),
        artifacts=fields.each("artifacts", _read_artifact),
    )
    fields.finish()
    kinds = [(artifact.runtime, artifact.precision) for artifact in model.artifacts]
    if len(set(kinds)) != len(kinds):
        raise ManifestError(
            f"expected one file per runtime and precision in {where}.artifacts, got {kinds}"
        )
    names = [output.name for output in model.outputs]
    if not names or len(set(names)) != len(names):
        raise ManifestError(f"expected outputs of different names in {where}.outputs, got {names}")
    return model


def _read_input(value: object, where: str) -> InputSpec:
    fields = _Fields(value, where)
    spec = InputSpec(
        name=fields.text("name"),
        shape=fields.shape("shape"),
        layout=cast(Layout, fields.choice("layout", "NCHW", "NHWC")),
    )
    fields.choice("color", "RGB")
    fields.choice("dtype", "float32")
    span = fields.take("range")
    if span != [0, 255]:  # normalisation is part of the graph, so that no caller can get it wrong
        raise ManifestError(f"expected [0, 255] at {where}.range, got {span!r}")
    fields.finish()
    side = spec.shape[2] if len(spec.shape) == 4 else 0
    if spec.shape != ((1, 3, side, side) if spec.layout == "NCHW" else (1, side, side, 3)):
        wanted = "[1, 3, S, S]" if spec.layout == "NCHW" else "[1, S, S, 3]"
        raise ManifestError(
            f"expected {wanted} for {spec.layout} at {where}.shape, got {list(spec.shape)}"
        )
    return spec


def _read_output(value: object, where: str) -> OutputSpec:
    fields = _Fields(value, where)
    spec = OutputSpec(fields.text("name"), fields.shape("shape"), fields.text("meaning"))
    fields.finish()
    return spec


def _read_metric(value: object, where: str) -> Metric:
    fields = _Fields(value, where)
    metric = Metric(
        name=fields.text("name"),
        value=fields.number("value"),
        unit=fields.text("unit"),
        data=fields.text("data"),
        command=fields.text("command"),
    )
    fields.finish()
    return metric


def _read_artifact(value: object, where: str) -> Artifact:
    fields = _Fields(value, where)
    override = fields.take("input", None)
    artifact = Artifact(
        runtime=fields.text("runtime"),
        precision=fields.text("precision"),
        path=_read_path(fields.text("path"), f"{where}.path"),
        sha256=fields.text("sha256"),
        size_bytes=fields.integer("bytes"),
        input=None if override is None else _read_input(override, f"{where}.input"),
        parity=_read_parity(fields.take("parity"), f"{where}.parity"),
        tools=_read_tools(fields.take("tools"), f"{where}.tools"),
    )
    fields.finish()
    if re.fullmatch(r"[0-9a-f]{64}", artifact.sha256) is None:
        raise ManifestError(
            f"expected 64 lower-case hexadecimal digits at {where}.sha256, got {artifact.sha256!r}"
        )
    return artifact


def _read_path(text: str, where: str) -> str:
    # Names are checked and not what links resolve to: some installers link every file of a package
    # to a cache, and the hash decides what runs anyway.
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\\" in text or ":" in text:
        raise ManifestError(
            f"expected a relative path inside the manifest's folder at {where}, got {text!r}"
        )
    return text


def _read_parity(value: object, where: str) -> dict[str, float | str]:
    table = _Fields(value, where)
    return {
        key: table.text(key) if isinstance(item, str) else table.number(key)
        for key, item in table.items()
    }


def _read_tools(value: object, where: str) -> dict[str, str]:
    table = _Fields(value, where)
    return {key: table.text(key) for key, _ in table.items()}


class _Fields:
    """Takes the fields of one JSON object, each once; ``finish`` refuses what is left."""

    _REQUIRED: Final = object()

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"expected an object at {where}, got {_show(value)}")
        self._left: dict[str, object] = dict(value)
        self._where = where

    def items(self) -> list[tuple[str, object]]:
        return list(self._left.items())

    def take(self, key: str, default: object = _REQUIRED) -> object:
        if key in self._left:
            return self._left.pop(key)
        if default is self._REQUIRED:
            raise ManifestError(f"expected the field {key!r} in {self._where}, it is missing")
        return default

    def finish(self) -> None:
        if self._left:
            raise ManifestError(f"expected no other fields in {self._where}, got {[*self._left]}")

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self._wrong("a text", key, value)
        return value

    def optional_text(self, key: str) -> str | None:
        value = self.take(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self._wrong("a text or null", key, value)
        return value

    def choice(self, key: str, *choices: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(" or ".join(repr(choice) for choice in choices), key, value)
        return value

    def integer(self, key: str) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong("a whole number from 0", key, value)
        return value

    def number(self, key: str) -> float:
        value = self.take(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(cast(float, value)):
            raise self._wrong("a finite number", key, value)
        return cast(float, value)

    def shape(self, key: str) -> tuple[int, ...]:
        value = self.take(key)
        sizes = value if isinstance(value, list) else []
        if not sizes or not all(type(size) is int and size > 0 for size in sizes):
            raise self._wrong("a list of whole numbers from 1", key, value)
        return tuple(sizes)

    def each(self, key: str, read: Callable[[object, str], _Value]) -> tuple[_Value, ...]:
        value = self.take(key)
        if not isinstance(value, list):
            raise self._wrong("a list", key, value)
        return tuple(
            read(item, f"{self._where}: {key}[{index}]") for index, item in enumerate(value)
        )

    def _wrong(self, wanted: str, key: str, value: object) -> ManifestError:
        return ManifestError(f"expected {wanted} at {self._where}.{key}, got {_show(value)}")


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
