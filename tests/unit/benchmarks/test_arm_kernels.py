"""Names of XNNPACK's kernels."""

import pytest

from benchmarks.arm.counts import Block
from benchmarks.arm.emulator import Emulator
from benchmarks.arm.kernels import instructions_by_function, kernel_kind, kernel_name
from benchmarks.errors import BenchmarkError

NAMES = [
    (
        "xnn_qs8_qc8w_gemm_minmax_fp32_ukernel_4x16c4__asm_aarch64_neondot_cortex_a55",
        "matrix product",
        "qs8_qc8w_gemm_minmax_fp32",
    ),
    ("xnn_f32_igemm_minmax_ukernel_6x8__asm_aarch64_neonfma", "convolution", "f32_igemm_minmax"),
    (
        "xnn_f32_dwconv_minmax_ukernel_9p4c__asm_aarch64_neonfma",
        "depthwise convolution",
        "f32_dwconv_minmax",
    ),
    ("xnn_x8_lut_ukernel__aarch64_neon_tbx128x4_u64", "table look-up", "x8_lut"),
    ("xnn_f32_rmin_ukernel__neon_u16_acc4", "reduction", "f32_rmin"),
    ("xnn_qs8_rdsum_ukernel_7p7x__neon_u32", "reduction", "qs8_rdsum"),
    ("xnn_qs8_f32_vcvt_ukernel__neon_u32", "(de)quantisation", "qs8_f32_vcvt"),
    ("xnn_f32_vhswish_ukernel__neon_u16", "elementwise", "f32_vhswish"),
    ("xnn_xx_copy_ukernel__scalar_memcpy", "copy, pad, resize", "xx_copy"),
    ("xnn_compute_igemm", "other", "other"),
    ("pthreadpool_parallelize_6d_tile_2d", "other", "other"),
]


@pytest.mark.parametrize(("function", "kind", "name"), NAMES)
def test_names_kernels(function, kind, name):
    assert (kernel_kind(function), kernel_name(function)) == (kind, name)


def test_gives_blocks_to_the_functions_they_lie_in(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "benchmarks.arm.kernels._functions", lambda *_: ([0x10, 0x40], ["first", "second"])
    )
    blocks = [
        Block(0x1010, 2, (0, 0, 0)),  # the first instruction of the first function: 6
        Block(0x103C, 1, (0,)),  # its last: 1
        Block(0x1040, 5, (0, 0)),  # the second: 10
        Block(0x1008, 1, (0, 0)),  # before both: 2
        Block(0x0F00, 1, (0,)),  # before the library: 1
        Block(0x2010, 1, (0, 0, 0, 0)),  # in the library behind it: 4
    ]
    libraries = {"/site/libpywrap_litert_common.so": 0x1000, "/lib/libc.so.6": 0x2000}
    found = instructions_by_function(Emulator(tmp_path), blocks, libraries)
    assert found == {"first": 7, "second": 10, "other": 7}


def test_needs_the_library(tmp_path):
    with pytest.raises(BenchmarkError, match=r"libpywrap_litert_common\.so in memory"):
        instructions_by_function(Emulator(tmp_path), [], {"/lib/libc.so.6": 0})
