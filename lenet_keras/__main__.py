"""The command ``lenet-keras``, and ``python -m lenet_keras``."""

import sys


def main() -> int:
    """Ctrl-C is a sentence from the first moment on, while libraries are still being loaded."""
    try:
        from lenet_keras.cli import main

        return main()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("lenet-keras: interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
