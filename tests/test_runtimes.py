"""Every row of the card's table of runtimes, where the runtime is at hand."""

import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TABLE = (BENCHMARKS / "results/runtimes.md").read_text(encoding="utf-8")
KEYS = (
    "onnxruntime", "node", "wasm", "webgpu", "openvino", "opencv", "reference", "tract", "litert",
)  # fmt: skip
FAR = {"lenet5-int8.onnx": 0.01}  # a byte may be rounded the other way
NEAR = 1e-5


@pytest.fixture(scope="module")
def runtimes():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import runtimes

        yield runtimes
        for name in ("runtimes", "table"):
            sys.modules.pop(name, None)


def rows(lines: str) -> dict[str, list[str]]:
    """A runtime's name, with its version, to its cells."""
    found = [line.strip("| ").split(" | ") for line in lines.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in found}


def assert_held(runtimes, line: str) -> None:
    """A runtime does with every file what the table says."""
    ((name, found),) = rows(line).items()
    said = {re.sub(r" [\d.a-z-]+$", "", row): cells for row, cells in rows(TABLE).items()}
    if name.startswith("OpenCV"):  # the one that is there twice
        major = re.search(r" (\d+)\.", name)[1]
        (cells,) = (row for key, row in rows(TABLE).items() if key.startswith(f"OpenCV {major}."))
    else:
        cells = said[re.sub(r" [\d.a-z-]+$", "", name)]
    for file, ours, theirs in zip(runtimes.FILES, found, cells):
        again = f"{name}, {file}: {ours}, not {theirs}; run benchmarks/runtimes.py again"
        number, _, rest = ours.partition(",")
        then, _, then_rest = theirs.partition(",")
        assert rest == then_rest, again
        if then[0].isdigit():
            assert number[0].isdigit(), again
            assert float(number) <= FAR.get(file, NEAR), again
        else:
            assert number == then, again


@pytest.mark.parametrize("key", KEYS)
def test_a_runtime_does_what_the_table_says(runtimes, key):
    from web import installed

    assert list(runtimes.RUNTIMES) == list(KEYS)
    if key in ("node", "wasm", "webgpu"):
        installed("node" if key == "node" else "web")  # skips where there is no Node
    line, *_ = runtimes.lines_of(key)
    if not line.startswith("|"):
        pytest.skip(line)
    assert_held(runtimes, line)


def test_opencv_4_does_what_the_table_says(runtimes):
    line, *_ = runtimes.with_opencv4()
    if not line.startswith("|"):
        pytest.skip(line)
    assert_held(runtimes, line)


def test_the_table_has_all_files_and_no_number_is_large(runtimes):
    head, _, *others = rows(TABLE).items()
    assert [cell.strip("`") for cell in head[1][:-1]] == list(runtimes.FILES)
    assert others[0][0].startswith("onnxruntime, Python")
    for name, cells in others:
        for file, cell in zip(runtimes.FILES, cells):
            number = cell.split(",")[0]
            assert number in ("no", "–") or float(number) <= FAR.get(file, NEAR), (name, file)


def test_a_difference_is_seen(runtimes):
    _, expected = runtimes.test_data("lenet5.onnx")
    assert runtimes.difference("lenet5.onnx", expected) == (0.0, [])
    other = [dict(each) for each in expected]
    other[1]["probabilities"] = other[1]["probabilities"] + 0.5
    other[2]["label"] = other[2]["label"] + 1
    largest, wrong = runtimes.difference("lenet5.onnx", other)
    assert largest == pytest.approx(0.5) and wrong == ["label"]
