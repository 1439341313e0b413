"""A conversion is done when it has been compared."""

import dataclasses

import pytest

from converters.convert import convert
from converters.errors import ConversionError, MissingToolError, ParityError
from converters.models import Reference
from converters.targets import Runner, Source, find_target
from tests.unit.converters.fakes import Shifted, fake_target

ONNX = find_target("onnx", "float32")


def test_a_conversion_says_what_it_does(tiny: Reference) -> None:
    steps: list[str] = []
    convert(Source(tiny), fake_target(tiny), steps.append)
    assert steps == [
        "atpn: onnx float32: convert",
        "atpn: onnx float32: compare with the reference",
    ]


def test_a_conversion_that_differs_is_refused(tiny: Reference) -> None:
    with pytest.raises(ParityError, match=r"landmarks_max_percent 0\.2"):
        convert(Source(tiny), fake_target(tiny, shift=0.001), lambda text: None)


def test_a_conversion_without_limits_is_refused(tiny: Reference) -> None:
    with pytest.raises(ParityError, match="limits for alignment in float8"):
        convert(Source(tiny), fake_target(tiny, precision="float8"), lambda text: None)


def test_a_conversion_that_does_not_load_is_refused(tiny: Reference) -> None:
    target = dataclasses.replace(ONNX, convert=lambda source: b"nonsense")
    with pytest.raises(ConversionError, match="expected onnx to run the converted 'atpn'"):
        convert(Source(tiny), target, lambda text: None)


def test_nothing_is_converted_without_the_tools(tiny: Reference) -> None:
    steps: list[str] = []
    target = fake_target(tiny, modules={"pip install abacus": ("abacus",)})
    with pytest.raises(MissingToolError):
        convert(Source(tiny), target, steps.append)
    assert steps == []


def test_a_file_of_another_layout_is_given_its_layout(tiny: Reference) -> None:
    conversion = convert(Source(tiny), fake_target(tiny, layout="NHWC"), lambda text: None)
    assert conversion.parity.landmarks_max_percent == 0.0
    assert conversion.parity.sqnr_db > 100.0


def test_every_runner_has_to_agree_and_is_closed(tiny: Reference) -> None:
    spec = tiny.model.spec
    right, wrong = Shifted(tiny, spec, 0.0), Shifted(tiny, spec, 0.001)
    runners = [Runner(right, "the first"), Runner(wrong, "the second")]
    with pytest.raises(ParityError, match="landmarks_max_percent"):
        convert(
            Source(tiny),
            fake_target(tiny, run=lambda contents, spec: runners),
            lambda text: None,
        )
    assert right.closed
    assert wrong.closed
    runners.pop()
    told = convert(
        Source(tiny), fake_target(tiny, run=lambda contents, spec: runners), lambda text: None
    )
    assert told.parity.compared.startswith("onnx float32 (the first) with float32 (torch ")


def test_what_several_formats_need_is_made_once(tiny: Reference) -> None:
    source = Source(tiny)
    assert source.onnx is source.onnx
    assert source.graph is source.graph
    assert source.graph.outputs == ("landmarks", "pose", "presence")
