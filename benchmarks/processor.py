"""On which processor a table was measured, and when: a sentence to print above it."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
from collections.abc import Collection
from pathlib import Path

# Those that decide which kernels run: oneDNN's, onnxruntime's, OpenBLAS's.
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
MEANING = {"avx512_vnni": "VNNI", "avx512_bf16": "bfloat16", "amx_bf16": "AMX"}


def measured_on() -> str:
    """This machine and today.

    ``2 cores of AMD EPYC, AVX-512 with VNNI (avx2, fma, avx512f, avx512_vnni). 2026-01-31.``
    """
    return f"{os.cpu_count()} cores of {processor(_cpuinfo())}. {datetime.date.today()}."


def computes_in_bfloat16() -> bool:
    """Or does it imitate it? Asked without TensorFlow, whose memory a benchmark would inherit."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpuinfo().split())


def _cpuinfo() -> str:
    """What Linux says of the processors; elsewhere nothing."""
    with contextlib.suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""


def processor(cpuinfo: str) -> str:
    """Its name and its vector instructions, in words and as Linux spells them.

    Args:
        cpuinfo: what Linux says of the processors, of which the first is taken; where it names
            no flags (ARM, or another system), only the name is told.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    if "flags" not in fields:
        return name
    there = fields["flags"].split()
    flags = [flag for flag in FLAGS if flag in there]
    return f"{name}, {vectors(flags)}" + (f" ({', '.join(flags)})" if flags else "")


def vectors(flags: Collection[str]) -> str:
    """What kind of machine that is, at a glance: ``AVX-512 with VNNI and bfloat16``."""
    if "avx512f" not in flags:
        return "AVX2" if "avx2" in flags else "no AVX2"
    more = [word for flag, word in MEANING.items() if flag in flags]
    if not more:
        return "AVX-512 without VNNI"
    return "AVX-512 with " + " and ".join(", ".join(more).rsplit(", ", 1))
