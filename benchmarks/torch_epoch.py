"""Epochs of the tutorial's network in PyTorch. Run by peers.py.

python torch_epoch.py digits.npz batch_size n_epochs eager|channels_last|compiled
"""

from __future__ import annotations

import os
import resource
import sys

import numpy as np
import torch
from speed import seconds
from torch import nn


def lenet5() -> nn.Sequential:
    """float32 [N, 1, 28, 28], divided by 256, to logits [N, 10]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Tanh()),
        *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(800, 500), nn.Tanh(), nn.Linear(500, 10)),
    )


def main(digits: str, batch_size: str, n_epochs: str, way: str) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    with np.load(digits) as file:
        images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    layout = torch.contiguous_format if way == "eager" else torch.channels_last
    model = lenet5().to(memory_format=layout)
    forward = torch.compile(model) if way == "compiled" else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss, n = nn.CrossEntropyLoss(), int(batch_size)

    def epoch() -> None:
        for i in range(0, len(labels) - n + 1, n):
            x = images[i : i + n, None].float().div(256).contiguous(memory_format=layout)
            optimizer.zero_grad()
            loss(forward(x), labels[i : i + n]).backward()
            optimizer.step()

    epoch()  # to warm up
    for _ in range(int(n_epochs)):
        print(seconds(epoch))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
