"""Entry of the command `kgdists`, also `python -m kgdists`."""

import sys

try:
    from kgdists.cli import main
except ModuleNotFoundError as error:
    sys.exit(f"kgdists: error: the command line needs {error.name}: pip install 'kgdists[agents]'")

if __name__ == "__main__":
    sys.exit(main())
