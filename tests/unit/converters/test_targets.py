"""The table of targets."""

import importlib.util
from dataclasses import replace

import pytest

from converters.errors import MissingToolError, RequestError
from converters.models import MODELS
from converters.parity import LIMITS
from converters.targets import TARGETS, find_target, select_targets


def test_finds_targets() -> None:
    assert find_target("onnx", "float32") in TARGETS
    with pytest.raises(RequestError, match=r"\('onnx', 'float32'\).*got \('onnx', 'int1'\)"):
        find_target("onnx", "int1")


def test_every_target_is_there_once_and_has_limits() -> None:
    kinds = [(target.runtime, target.precision) for target in TARGETS]
    assert len(set(kinds)) == len(kinds)
    for target in TARGETS:
        for model in MODELS.values():
            assert (target.precision, model.task) in LIMITS
    for model in MODELS:
        names = [target.file_name(model) for target in TARGETS]
        assert len(set(names)) == len(names)


def test_selects_targets() -> None:
    assert select_targets() == list(TARGETS)
    assert select_targets("onnx", "float32") == [find_target("onnx", "float32")]
    assert {target.runtime for target in select_targets("onnx")} == {"onnx"}
    assert {target.precision for target in select_targets(precision="float32")} == {"float32"}
    shipped = select_targets(shipped=True)
    assert shipped
    assert all(target.shipped for target in shipped)
    with pytest.raises(RequestError, match="got 'onnx int1'"):
        select_targets("onnx", "int1")


def test_a_missing_tool_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(TARGETS[0], modules={"pip install abacus": ("json", "abacus")})
    with pytest.raises(
        MissingToolError, match=r"abacus for onnx float32, not installed: pip install abacus"
    ):
        target.require_tools()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    target.require_tools()
