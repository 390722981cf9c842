"""Runs `nptables` command lines in a namespace, each in a process of its own.

Importing takes most of the time that such a command needs, so one process imports everything,
and a copy of it runs each command: what `nptables` does when it is started, without the start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.netns import Namespace

_ROOT = Path(__file__).parents[3]


class Commands:
    """Command lines of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        argv = [sys.executable, "-m", "tests.lab.laboratory.commands"]
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace.name, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def nptables(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command line to its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        assert told, "the process that runs commands has died; see standard error"
        code, out, err = json.loads(told)
        return subprocess.CompletedProcess(["nptables", *arguments], code, out, err)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def _serve() -> None:
    _import_everything()
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = _run(json.loads(line), out, err)
            texts = [(file.seek(0), file.read())[1] for file in (out, err)]
        sys.stdout.write(json.dumps([code, *texts]) + "\n")
        sys.stdout.flush()


def _run(arguments: Sequence[str], out: IO[str], err: IO[str]) -> int:
    child = os.fork()
    if child == 0:
        _become(arguments, out, err)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(arguments: Sequence[str], out: IO[str], err: IO[str]) -> None:
    code = 70
    try:
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        code = _main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(arguments: Sequence[str]) -> int:
    from nptables.cli import main

    return main(arguments)


def _import_everything() -> None:
    """Import what the commands import on their way, so that it is there already."""
    import pyroute2  # noqa: F401

    import nptables.cli.commands.apply
    import nptables.cli.running  # noqa: F401


if __name__ == "__main__":
    _serve()
