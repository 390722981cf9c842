"""The command line: arguments in, text out, no logic of its own."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (that of the process by default); returns the exit code."""
    from nptables.cli.running import run  # noqa: PLC0415 - importing the package costs nothing

    return run(arguments)
