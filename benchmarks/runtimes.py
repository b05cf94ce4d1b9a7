"""Which runtime reads which file, and how far its probabilities are from export/test_data.

    python benchmarks/runtimes.py > benchmarks/results/runtimes.md

A runtime that is not installed is left out, with the reason; pip install 'lenet-keras[all]' and
`npm ci` in export/node and export/web bring all of them but OpenCV 4, which this command puts
into a folder of its own: two versions of OpenCV do not live together.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper
from table import row

if TYPE_CHECKING:
    from playwright.sync_api import Route

HERE = Path(__file__).parent
ROOT = HERE.parent
EXPORT = ROOT / "export"
FILES = ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx")
OPENCV4 = HERE / "opencv4.txt"  # its wheel's hashes
WEBGPU = (  # Chromium's own, on the processor where there is no graphics card
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--use-webgpu-adapter=swiftshader",
)

Outputs = dict[str, np.ndarray]  # by name


class Missing(Exception):
    """A runtime that is not here; says what it needs."""


@dataclass(frozen=True)
class Runtime:
    """A runtime, and how it is asked.

    ``run``: a file and pictures in, what it says of each out; None where it does not take this
    file at all. ``version``: raises what it likes where it is not installed.
    """

    name: str
    how: str
    version: Callable[[], str]
    run: Callable[[Path, list[np.ndarray]], list[Outputs] | None]


def test_data(file: str) -> tuple[list[np.ndarray], list[Outputs]]:
    """The pictures of export/test_data for a file, and what onnxruntime said when it was made."""
    inputs, outputs = [], []
    for folder in sorted((EXPORT / "test_data" / Path(file).stem).iterdir()):
        read = [(path.stem, onnx.load_tensor(path)) for path in sorted(folder.glob("*.pb"))]
        inputs += [numpy_helper.to_array(tensor) for stem, tensor in read if stem == "input_0"]
        outputs.append(
            {each.name: numpy_helper.to_array(each) for stem, each in read if stem != "input_0"}
        )
    return inputs, outputs


# --- the runtimes ---


def run_onnxruntime(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (feed,), names = session.get_inputs(), [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, {feed.name: each}))) for each in pictures]


def run_reference(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    from onnx.reference import ReferenceEvaluator

    model = onnx.version_converter.convert_version(onnx.load(file), 21)
    evaluator = ReferenceEvaluator(model)
    (feed,) = evaluator.input_names
    return [
        dict(zip(evaluator.output_names, evaluator.run(None, {feed: each}))) for each in pictures
    ]


def run_openvino(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    import openvino

    model = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [
        {port.get_any_name(): value for port, value in model([each]).items()} for each in pictures
    ]


def run_opencv(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    import cv2

    net = cv2.dnn.readNetFromONNX(str(file))
    names = [output.name for output in onnx.load(file).graph.output]
    found = []
    for each in pictures:
        net.setInput(each)
        found.append(dict(zip(names, net.forward(names))))
    return found


def run_tract(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    import tract

    types = {"uint8": "u8", "float32": "f32"}
    found = []
    for each in pictures:
        model = tract.onnx().load(str(file))
        model.set_input_fact(0, f"{','.join(map(str, each.shape))},{types[each.dtype.name]}")
        names = [model.output_name(i) for i in range(model.output_count())]
        tensors = model.into_model().into_runnable().run([each])
        found.append({name: tensor.to_numpy() for name, tensor in zip(names, tensors)})
    return found


def run_litert(file: Path, pictures: list[np.ndarray]) -> list[Outputs] | None:
    """lenet5.onnx's network, from the run it was exported from: LiteRT reads no ONNX."""
    if file.name != "lenet5.onnx":
        return None
    import tensorflow as tf

    from lenet_keras.run import load_model

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        path = str(Path(folder, "lenet5.tflite"))
        load_model(ROOT / "results" / "tutorial").export(path, format="litert", verbose=False)
        read = tf.lite.Interpreter(path).get_signature_runner()
        logits = [read(images=each)["output_0"] for each in pictures]
    return [{"probabilities": tf.nn.softmax(each).numpy()} for each in logits]


def as_json(pictures: list[np.ndarray]) -> list[dict[str, object]]:
    return [
        {"type": each.dtype.name, "data": each.ravel().tolist(), "dims": each.shape}
        for each in pictures
    ]


def from_json(found: list[dict[str, dict[str, list]]]) -> list[Outputs]:
    return [
        {name: np.reshape(tensor["data"], tensor["dims"]) for name, tensor in outputs.items()}
        for outputs in found
    ]


def run_node(file: Path, pictures: list[np.ndarray]) -> list[Outputs]:
    done = subprocess.run(
        ["node", HERE / "runtimes.mjs", EXPORT / "node", file],
        input=json.dumps(as_json(pictures)),
        capture_output=True,
        text=True,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return from_json(json.loads(done.stdout))


IN_A_PAGE = """async ([model, inputs, build, provider]) => {
  const [ort, { answers }] = await Promise.all([import(`./${build}`), import("./runtimes.mjs")]);
  ort.env.wasm.numThreads = 1;
  return answers(ort, model, inputs, { executionProviders: [provider] });
}"""


def run_page(
    build: str, provider: str, file: Path, pictures: list[np.ndarray]
) -> list[Outputs] | None:
    dist = EXPORT / "web/node_modules/onnxruntime-web/dist"
    files = {path.name: path for path in (*dist.glob("ort*"), HERE / "runtimes.mjs", file)}

    def answer(route: Route) -> None:
        """The page's server: these files, and an empty page."""
        path = files.get(route.request.url.rpartition("/")[2])
        if path:
            route.fulfill(path=path)
        else:
            route.fulfill(body="", content_type="text/html")

    with browser() as chromium:
        page = chromium.new_page()
        page.route("**/*", answer)
        page.goto("http://localhost/")
        if provider == "webgpu" and not page.evaluate(
            "async () => Boolean(await navigator.gpu?.requestAdapter())"
        ):
            raise Missing("this browser has no WebGPU")
        found = page.evaluate(IN_A_PAGE, [file.name, as_json(pictures), build, provider])
        return from_json(found)


def chromium_path() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if not found:
        raise Missing("needs chromium")
    return found


@contextlib.contextmanager
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", *WEBGPU]
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=flags)
        yield chromium
        chromium.close()


# --- their versions ---


def of_wheel(package: str) -> Callable[[], str]:
    return functools.partial(importlib.metadata.version, package)


def of_opencv() -> str:
    import cv2

    return cv2.__version__


def of_npm(app: str, package: str) -> Callable[[], str]:
    def version() -> str:
        manifest = EXPORT / app / "node_modules" / package / "package.json"
        if not manifest.exists():
            raise Missing(f"needs `npm ci` in export/{app}")
        if app == "web":
            chromium_path()
        return json.loads(manifest.read_text(encoding="utf-8"))["version"]

    return version


WASM = functools.partial(run_page, "ort.wasm.min.mjs", "wasm")
GPU = functools.partial(run_page, "ort.webgpu.min.mjs", "webgpu")
RUNTIMES = {
    "onnxruntime": Runtime(
        "onnxruntime, Python", "`InferenceSession(file)`", of_wheel("onnxruntime"), run_onnxruntime
    ),
    "node": Runtime(
        "onnxruntime-node",
        "`InferenceSession.create(file)`",
        of_npm("node", "onnxruntime-node"),
        run_node,
    ),
    "wasm": Runtime(
        "onnxruntime-web, wasm",
        '`executionProviders: ["wasm"]`, in Chromium',
        of_npm("web", "onnxruntime-web"),
        WASM,
    ),
    "webgpu": Runtime(
        "onnxruntime-web, WebGPU",
        '`ort.webgpu.min.mjs`, `executionProviders: ["webgpu"]`, in Chromium',
        of_npm("web", "onnxruntime-web"),
        GPU,
    ),
    "openvino": Runtime(
        "OpenVINO",
        '`compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})`',
        of_wheel("openvino"),
        run_openvino,
    ),
    "opencv": Runtime("OpenCV", "`readNetFromONNX(file)`, `forward(names)`", of_opencv, run_opencv),
    "reference": Runtime(
        "onnx's reference",
        "`ReferenceEvaluator(convert_version(model, 21))`",
        of_wheel("onnx"),
        run_reference,
    ),
    "tract": Runtime(
        "tract", "the picture's shape set before `into_model()`", of_wheel("tract"), run_tract
    ),
    "litert": Runtime(
        "LiteRT in TensorFlow",
        'no ONNX: Keras\'s `model.export(path, format="litert")`, softmax of its logits',
        of_wheel("tensorflow"),
        run_litert,
    ),
}


# --- the table ---


def difference(file: str, found: list[Outputs]) -> tuple[float, list[str]]:
    """The largest of the probabilities' differences, and the outputs that are otherwise wrong."""
    _, expected = test_data(file)
    largest, wrong = 0.0, set()
    for ours, theirs in zip(expected, found, strict=True):
        for name in ours.keys() & theirs.keys():
            if name == "probabilities":
                apart = np.abs(np.asarray(theirs[name], float) - ours[name]).max()
                largest = max(largest, float(apart))
            elif not np.array_equal(np.asarray(theirs[name]), ours[name]):
                wrong.add(name)
    return largest, sorted(wrong)


def cells(runtime: Runtime) -> tuple[list[str], list[str]]:
    """A runtime's cell for each file, and why it refuses those that it refuses."""
    found, whys = [], []
    for file in FILES:
        pictures, _ = test_data(file)
        try:
            outputs = runtime.run(EXPORT / file, pictures)
        except Missing:
            raise
        except Exception as error:  # whatever a runtime says
            found.append("no")
            message = re.split(r"Stack backtrace|\n +at ", str(error))[0]  # where, is left out
            why = " ".join(message.split())[-160:]
            whys.append(f"{file}: `…{why.replace('`', ' ')}`")
            continue
        if outputs is None:
            found.append("–")
            continue
        largest, wrong = difference(file, outputs)
        found.append(
            (f"{largest:.0e}" if largest else "0") + "".join(f", not `{name}`" for name in wrong)
        )
    return found, whys


def lines_of(key: str) -> list[str]:
    """A runtime's row, and below it a line for each file that it refuses or why it is left out."""
    runtime = RUNTIMES[key]
    try:
        name = f"{runtime.name} {runtime.version()}"
        found, whys = cells(runtime)
    except (Missing, ImportError) as error:
        return [f"- {runtime.name} is left out: {error}."]
    return [row(name, *found, runtime.how), *(f"- {name}, {why}" for why in whys)]


def with_opencv4() -> list[str]:
    """OpenCV's lines by version 4, from a process that finds it before the other one."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        if subprocess.run(
            [*pip, "--require-hashes", "-r", OPENCV4], capture_output=True
        ).returncode:
            return [f"- OpenCV 4 is left out: pip could not install {OPENCV4.name}."]
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, __file__, "opencv"],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout.splitlines()


def main() -> None:
    if keys := sys.argv[1:]:
        for key in keys:
            print("\n".join(lines_of(key)))
        return
    lines = [line for key in RUNTIMES for line in lines_of(key)]
    lines += with_opencv4()
    print(row("runtime", *(f"`{file}`" for file in FILES), "how"))
    print(f"|{' --- |' * (len(FILES) + 2)}")
    print("\n".join(line for line in lines if line.startswith("|")))
    if others := [line for line in lines if not line.startswith("|")]:
        print("\nIn their own words:\n\n" + "\n".join(others))


if __name__ == "__main__":
    main()
