"""`python -m nptables`."""

import sys

from nptables.cli import main

if __name__ == "__main__":
    sys.exit(main())
