"""Model files of any format as networks, told apart by their contents."""

from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.layers import Network
from benchmarks.read_onnx import read_onnx
from benchmarks.read_tflite import FILE_IDENTIFIER, read_tflite


def read_network(path: Path) -> Network:
    """Read a model file.

    Args:
        path: an .onnx or a .tflite file; its contents decide which.

    Raises:
        BenchmarkError: it cannot be read; see ``read_onnx`` and ``read_tflite``.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(
            f"expected a model at {path}, it cannot be read: {error.strerror or error}"
        ) from error
    try:
        return read_contents(contents, path.stem)
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from error


def read_contents(contents: bytes, name: str) -> Network:
    """Read the bytes of a model file.

    Args:
        contents: of an .onnx or a .tflite file.
        name: of the network if the file has none.

    Raises:
        BenchmarkError: as ``read_network``.
    """
    reader = read_tflite if contents[4:8] == FILE_IDENTIFIER else read_onnx
    return reader(contents, name)
