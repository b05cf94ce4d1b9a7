"""A run folder: a training and everything about it.

folder.py       train, resume, load
history.py      history.csv, the tutorial's report, the progress bar
checkpoint.py   checkpoint.npz, from which an interrupted training is resumed
record.py       run.json, what is known of a finished one
"""

from lenet_keras.run.checkpoint import CheckpointError
from lenet_keras.run.folder import Run, evaluate_lenet5, load_model, new_run_dir, train
from lenet_keras.run.record import Record, RunError, load_record

__all__ = [
    "CheckpointError",
    "Record",
    "Run",
    "RunError",
    "evaluate_lenet5",
    "load_model",
    "load_record",
    "new_run_dir",
    "train",
]
