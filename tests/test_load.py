"""One Classifier that eight threads ask at once, in two processes: right answers, steady memory.

``LENET_KERAS_LOAD=60 pytest -s tests/test_load.py`` asks for a minute instead of 4 seconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("LENET_KERAS_LOAD", "4"))

ASKED = """
import json, random, sys, threading, time
from pathlib import Path
import numpy as np
from lenet_keras import Classifier, load_mnist

seconds = float(sys.argv[1])
images = load_mnist("digits").test.images
classifier = Classifier(threads=1)
larger = [np.kron(image, np.ones((k, k), np.uint8)) for k, image in enumerate(images[:4], 1)]
pictures = [*images, *larger]
truth = [(answer.label, answer.probability) for answer in classifier(pictures)]
found = {"questions": 0, "wrong": 0, "memory": []}
until, lock = time.perf_counter() + seconds, threading.Lock()

def ask(number):
    chance, questions, wrong = random.Random(number), 0, 0
    while time.perf_counter() < until:
        some = chance.sample(range(len(pictures)), chance.choice((1, 1, 1, 20)))
        answers = classifier([pictures[i] for i in some])
        questions += len(some)
        wrong += sum((a.label, a.probability) != truth[i] for i, a in zip(some, answers))
    with lock:
        found["questions"] += questions
        found["wrong"] += wrong

threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    time.sleep(seconds / 40)
    lines = Path("/proc/self/status").read_text().splitlines()
    found["memory"].append(int(next(x for x in lines if x.startswith("VmRSS")).split()[1]) / 1024)
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_eight_threads_and_two_processes():
    command = [sys.executable, "-c", ASKED, str(SECONDS)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        found = json.loads(stdout)
        early, late = found["memory"][len(found["memory"]) // 4], max(found["memory"][-5:])
        print(
            f"{found['questions'] / SECONDS:,.0f} pictures/s, {found['wrong']} wrong of "
            f"{found['questions']:,}, {early:.0f} MiB after a quarter, {late:.0f} at the end"
        )
        assert found["wrong"] == 0 and found["questions"] > 0
        assert late < early + 20
