"""Targets that need no converter and no engine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from atpn_mobile.manifest import ModelSpec
from atpn_mobile.types import FloatArray
from converters.models import Reference
from converters.targets import Runner, Source, Target, find_target


class Shifted:
    """The reference itself as a backend, its landmarks shifted."""

    name = "onnx"

    def __init__(self, reference: Reference, spec: ModelSpec, shift: float) -> None:
        self.spec = spec
        self._reference, self._shift = reference, shift
        self.closed = False

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        image = inputs["image"]
        if self.spec.input.layout == "NHWC":
            image = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
        outputs = self._reference.run({"image": image})
        outputs["landmarks"] = outputs["landmarks"] + np.float32(self._shift)
        return outputs

    def close(self) -> None:
        self.closed = True


def fake_target(reference: Reference, shift: float = 0.0, **fields: Any) -> Target:
    """A target whose files hold nothing but the hash of the weights; fast."""

    def write(source: Source) -> bytes:
        return b"file" + source.reference.weights_sha256.encode()

    target = replace(find_target("onnx", "float32"), convert=write, **fields)
    if "run" not in fields:
        target = replace(
            target,
            run=lambda contents, spec: [Runner(Shifted(reference, spec, shift), "a shifted copy")],
        )
    return target
