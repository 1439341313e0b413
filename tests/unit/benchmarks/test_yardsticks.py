"""The networks as written down, held to the counts that their papers and repositories publish."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.layers import branches
from benchmarks.yardsticks import (
    INPUT,
    Operation,
    Yardstick,
    make_yardstick,
    weight_shape,
    yardstick_names,
)

# millions of MACs and of parameters
PUBLISHED = [
    ("mobilenet_v1", 569.0, 4.2, "arXiv:1704.04861, table 8"),
    ("mobilenet_v2", 300.0, 3.4, "arXiv:1801.04381, table 4"),
    ("mobilenet_v3_small", 56.0, 2.5, "arXiv:1905.02244, table 3"),
    ("mobilenet_v3_large", 219.0, 5.4, "arXiv:1905.02244, table 3"),
    ("shufflenet_v2", 146.0, 2.3, "arXiv:1807.11164, table 8"),
    ("blazeface", 30.8, None, "MediaPipe's face_detection_front.tflite"),
    ("mobilenet_v2_ncnn", 314.0, None, "ncnn, benchmark/mobilenet_v2.param"),
    ("mobilenet_v3_ncnn", 246.0, None, "ncnn, benchmark/mobilenet_v3.param"),
    ("blazeface_ncnn", 29.0, None, "ncnn, benchmark/blazeface.param"),
]


@pytest.mark.parametrize(("name", "macs", "parameters", "source"), PUBLISHED)
def test_counts_are_the_published_ones(name, macs, parameters, source):
    network = make_yardstick(name).network()

    assert network.macs / 1e6 == pytest.approx(macs, rel=0.03), source
    if parameters is not None:
        assert network.parameters / 1e6 == pytest.approx(parameters, rel=0.03), source


def test_every_network_has_published_counts():
    assert {name for name, *_ in PUBLISHED} == set(yardstick_names())


@pytest.mark.parametrize("name", yardstick_names())
def test_every_layer_is_needed_and_reads_what_was_made_before(name):
    network = make_yardstick(name).network()
    made = {INPUT}

    for layer in network.layers:
        assert made.issuperset(layer.inputs)
        made.update(layer.outputs)

    assert "" not in branches(network)
    assert made == set(network.tensors)


def test_layers_cost_what_their_shapes_say():
    operations = (
        Operation("Conv", "stem", (INPUT,), (8, 4, 4), kernel=3, stride=2),
        Operation("Conv", "deep", ("stem",), (8, 4, 4), kernel=5, groups=8),
        Operation("Relu", "rectified", ("deep",), (8, 4, 4)),
        Operation("Conv", "point", ("rectified",), (2, 4, 4)),
        Operation("GlobalAveragePool", "mean", ("point",), (2, 1, 1)),
        Operation("Flatten", "flat", ("mean",), (2,)),
        Operation("Gemm", "classes", ("flat",), (7,)),
    )

    network = Yardstick("tiny", (3, 7, 7), operations, ("classes",)).network()

    stem, deep, rectified, point, _, _, classes = network.layers
    assert (stem.kind, stem.macs, stem.parameters) == ("conv", 3 * 9 * 8 * 16, 3 * 9 * 8 + 8)
    assert (deep.kind, deep.macs, deep.parameters) == ("depthwise", 25 * 8 * 16, 25 * 8 + 8)
    assert (rectified.kind, rectified.macs, rectified.parameters) == ("other", 0, 0)
    assert (point.kind, point.macs) == ("pointwise", 8 * 2 * 16)
    assert (classes.kind, classes.macs, classes.parameters) == ("linear", 14, 21)
    assert stem.weight_bytes == 4 * stem.parameters
    assert network.tensors["stem"].bytes == 8 * 4 * 4 * 4
    assert network.tensors["rectified"].storage == "deep"  # written while "deep" computes
    assert network.tensors["flat"].storage == "mean"


def test_weights_of_grouped_convolutions_have_the_shape_of_onnx():
    conv = Operation("Conv", "c", ("x",), (8, 4, 4), kernel=3, groups=8)

    assert weight_shape(conv, 8) == (8, 1, 3, 3)
    assert weight_shape(Operation("Relu", "r", ("c",), (8, 4, 4)), 8) == ()


def test_an_unknown_network_is_refused():
    with pytest.raises(BenchmarkError, match=r"expected a yardstick out of .*, got 'vgg'"):
        make_yardstick("vgg")
