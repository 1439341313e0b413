"""Prints the path of the engine's library inside the wheel of ONNX Runtime."""

import importlib.util
import sys
from pathlib import Path


def main() -> int:
    """Find, print."""
    spec = importlib.util.find_spec("onnxruntime")  # not imported: nothing starts
    origin = spec.origin if spec is not None else None
    folder = Path(origin).parent / "capi" if origin is not None else Path("onnxruntime/capi")
    found = sorted([*folder.glob("libonnxruntime.so.*"), *folder.glob("libonnxruntime.*dylib")])
    if not found:
        sys.exit(f"expected the library of ONNX Runtime in {folder}, there is none")
    sys.stdout.write(f"{found[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
