"""What the benchmarks say beside their numbers: on which processor, in which kernels."""

import os
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def as_a_script_there(monkeypatch):
    """The benchmarks import one another by their bare names, as scripts in one folder do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("sse avx2 fma avx512f avx512_vnni avx512_bf16", "AVX-512 with VNNI and bfloat16"),
        ("avx2 fma avx512f avx512_vnni avx512_bf16 amx_bf16", "VNNI, bfloat16 and AMX"),
        ("avx2 fma avx512f avx512_vnni", "AVX-512 with VNNI ("),
        ("avx2 fma avx512f", "AVX-512 without VNNI"),
        ("fma avx2", "AVX2 (avx2, fma)"),
        ("sse4_1 avx", "no AVX2"),
    ],
)
def test_the_kind_of_processor_is_told_in_words_and_in_flags(flags, words):
    from processor import FLAGS, processor

    two = f"processor\t: 0\nmodel name\t: A CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\n"
    told = processor(two)
    assert told.startswith("A CPU, ") and words in told
    assert all((flag in told) == (flag in flags.split()) for flag in FLAGS)


def test_a_processor_without_flags_is_told_by_its_name():
    from processor import processor

    assert processor("processor\t: 0\nFeatures\t: fp asimd\n") == processor("") != ""
    assert "AVX" not in processor("")


def test_this_machine_is_told():
    from processor import measured_on

    assert re.fullmatch(rf"{os.cpu_count()} cores of .+\. 20\d\d-\d\d-\d\d\.", measured_on())


LOG = """onednn_verbose,v1,info,oneDNN v3.7.3 (commit N/A)
onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src:f32 dst:f32,,,20x1x5x5,900
Warmed up.
onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_data,src,,,mb500,30
onednn_verbose,v1,primitive,exec,cpu,gemm_api,,undef,src_f32 dst_f32,,,500x10:10x500,0.5
some other line, of TensorFlow's own,1
onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_data,src,,,mb500,10
"""


def test_kernels_are_summed_after_the_warm_up():
    from operations import N, kernels

    assert kernels(LOG) == {
        "convolution, backward_data: jit:avx512_core": 40 / N,
        "gemm_api: not named": 0.5 / N,
    }
    assert not kernels("Warmed up.\n")


def test_every_peer_has_its_script_and_a_name_of_its_own():
    from peers import CLOSER, PEERS

    assert all((BENCHMARKS / peer.script).exists() for peer in PEERS)
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert all(peer in PEERS for peer in CLOSER)
