"""The command line: arguments in, text out, no logic of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from nptables.signals import Signals, Stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process by default); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signals = Signals()
    # An agent is told to stop or to reload at any time, while its packages are imported as well.
    with signals.caught() if words[:1] == ["run"] else contextlib.nullcontext():
        try:
            from nptables.cli.running import run  # noqa: PLC0415 - the package costs nothing

            return run(words, signals)
        except Stopped:
            return 0
