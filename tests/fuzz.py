"""The readers, fuzzed for longer and by what their code does with each file (atheris, libFuzzer).

    pip install atheris
    python tests/fuzz.py idx|npz|pickle|picture [-max_total_time=600 and libFuzzer's other options]

The seeds and the limits are test_hostile.py's; a file that breaks one is left in this folder.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lenet_keras", "numpy.lib", "zipfile", "gzip", "PIL"]):
    from test_hostile import (
        idx_files,
        npz_files,
        pickles,
        pictures,
        read_as,
        read_as_idx,
        read_as_picture,
    )

    from lenet_keras.data import DataError
    from lenet_keras.ship.classifier import ClassifyError

READERS = {
    "idx": (idx_files, read_as_idx),
    "npz": (npz_files, read_as("mnist.npz")),
    "pickle": (pickles, read_as("mnist.pkl")),
    "picture": (pictures, read_as_picture),
}


def main(kind: str, *options: str) -> None:
    seeds, read = READERS[kind]
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(seeds()):
            (corpus / str(number)).write_bytes(seed)

        def one(data: bytes) -> None:
            try:
                read(data, Path(folder))
            except (DataError, ClassifyError) as error:
                assert "\n" not in str(error) and 20 < len(str(error)) < 1000

        limits = ("-timeout=1", "-rss_limit_mb=2048", f"-artifact_prefix={kind}-")
        atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
