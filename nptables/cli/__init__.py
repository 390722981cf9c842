"""The command line: arguments in, text out, no logic of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import nptables

if TYPE_CHECKING:
    from nptables.signals import Signals


def main(arguments: Sequence[str] | None = None, *, program: str = "nptables") -> int:
    """Run a command line (that of the process by default); returns the exit code.

    `program` is what the user typed to start it.
    """
    _open_standard_error()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"] and _said_version():
        return 0
    if next((word for word in words if word != "--"), "") != "run":
        return _run(words, program)
    # No other command waits for signals.
    from nptables.signals import Signals, Stopped  # noqa: PLC0415

    signals = Signals()
    # An agent is told to stop or to reload at any time, while its packages are imported as well.
    with signals.caught():
        try:
            return _run(words, program, signals)
        except Stopped:
            return 0


def _run(words: Sequence[str], program: str, signals: Signals | None = None) -> int:
    # The package alone, and its version, cost nothing.
    from nptables.gcpause import collector_paused  # noqa: PLC0415

    # What modules make when they are imported stays as long as the process: looking for garbage
    # among it takes as long as a tenth of a short command.
    with collector_paused():
        from nptables.cli.running import run  # noqa: PLC0415

    return run(words, signals, program)


def kubectl() -> int:
    """Run the command line of the process as the plugin of kubectl."""
    return main(program="kubectl nptables")


def kubectl_complete() -> int:
    """Answer kubectl, which asks its plugins how to complete a command line."""
    from nptables.cli.completing import print_for_kubectl  # noqa: PLC0415 - kubectl alone needs it

    print_for_kubectl(sys.argv[1:])
    return 0


def _said_version() -> bool:
    """Print the version as the group of commands does, which takes twice as long to import.

    Where that fails the group does it again, and says why it fails.
    """
    try:
        print(f"nptables, version {nptables.__version__}", flush=True)  # noqa: T201 - see above
    except (OSError, ValueError, AttributeError):
        return False
    return sys.stdout is not None


def _open_standard_error() -> None:
    """Without standard error (`2>&-`) words go nowhere, and no file or socket takes its place."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # open() returns the lowest free descriptor, which is `number`. Opened for reading, so
            # that writing to it fails.
            os.open(os.devnull, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
