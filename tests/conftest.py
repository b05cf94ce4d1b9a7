"""What the tests share. Which data there is, ../conftest.py has settled."""

import os

import hypothesis
import pytest

from lenet_keras.data import Mnist, load_mnist

hypothesis.settings.register_profile("lenet", deadline=None, derandomize=True)
hypothesis.settings.load_profile("lenet")


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """MNIST itself; without it the test is skipped."""
    source = os.environ["LENET_KERAS_DATA"]
    if source == "digits":
        pytest.skip("needs MNIST: set LENET_KERAS_DATA to a folder or file that has it")
    return load_mnist(source)


@pytest.fixture(scope="session")
def digits() -> Mnist:
    """The embedded digits, there on every machine."""
    return load_mnist("digits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: what trains, starts processes or opens a browser comes last."""
    slow = ("test_onnx_export", "test_cli", "test_training", "test_apps", "test_drawing")
    items.sort(key=lambda item: slow.index(item.path.stem) if item.path.stem in slow else -1)
