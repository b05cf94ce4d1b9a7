"""``python -m lenet_keras`` is ``lenet-keras``."""

import sys

from lenet_keras.cli import main

sys.exit(main())
