"""``python -m perilune.cli`` is ``perilune``."""

import sys

from perilune.cli import main

if __name__ == "__main__":
    sys.exit(main())
