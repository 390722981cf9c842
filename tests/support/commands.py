"""Runs `nptables` command lines in network namespaces, each in a process of its own.

Importing takes most of the time that such a command needs, so one process imports everything,
and a copy of it runs each command: what `python -m nptables` does once it has started.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import io
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.entering import enter

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).parents[2]
# What Python reads when it starts; with other values it has to be started anew.
_OF_THE_START = ("PYTHON", "LC_", "LANG")
_LONGEST_REQUEST = 1 << 20
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000


def run(arguments: Sequence[str], namespace: str) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end, with nothing on standard input."""
    start = [(k, v) for k, v in os.environ.items() if k.startswith(_OF_THE_START)]
    return _commands(tuple(sorted(start))).run(arguments, namespace)


class _Commands:
    """The process that imports everything."""

    def __init__(self) -> None:
        self._requests, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno())],
                cwd=_ROOT,
                pass_fds=[other.fileno()],
            )

    def run(self, arguments: Sequence[str], namespace: str) -> subprocess.CompletedProcess[str]:
        request = {
            "arguments": arguments,
            "namespace": namespace,
            "folder": str(Path.cwd()),
            "environment": dict(os.environ),
        }
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            ended = self._send(request, out.fileno(), err.fileno())
            with os.fdopen(ended) as told:
                ready, _, _ = select.select([told], [], [], 300)
                assert ready, f"nptables {' '.join(arguments)} does not end"
                code = told.read()
            assert code, "the process that runs commands has died; see standard error"
            texts = [(file.seek(0), file.read())[1] for file in (out, err)]
        return subprocess.CompletedProcess(["nptables", *arguments], int(code), *texts)

    def _send(self, request: dict[str, Any], out: int, err: int) -> int:
        """Returns what the exit code will be read from."""
        empty, nothing = os.pipe()
        ended, end = os.pipe()
        try:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [empty, out, err, end])
        finally:
            for descriptor in (empty, nothing, end):
                os.close(descriptor)
        return ended

    def close(self) -> None:
        self._requests.close()
        self._process.wait(timeout=60)


@functools.cache
def _commands(_start: tuple[tuple[str, str], ...]) -> _Commands:
    """One process for each environment that Python can be started in."""
    made = _Commands()
    atexit.register(made.close)
    return made


def _serve(requests: socket.socket) -> None:
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 4)
        if not data:
            return
        # The first copy waits for the second, so that several commands can run at a time.
        if os.fork() == 0:
            requests.close()
            _wait_for(json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _forget_ended()


def _forget_ended() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _wait_for(request: dict[str, Any], descriptors: list[int]) -> None:
    *streams, end = descriptors
    child = os.fork()
    if child == 0:
        os.close(end)
        _become(request, streams)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(end, str(code).encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    code = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdin = _as_started(0, sys.__stdin__)
        sys.stdout = _as_started(1, sys.__stdout__)
        sys.stderr = _as_started(2, sys.__stderr__)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        enter(request["namespace"])
        _mount_sys()
        sys.argv[1:] = request["arguments"]
        from nptables.cli import main

        code = main()
    except BaseException:  # noqa: BLE001 (as Python itself does it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _as_started(number: int, first: io.TextIOBase | Any) -> io.TextIOWrapper:
    """A stream of this process as Python makes it."""
    return open(
        number,
        "r" if number == 0 else "w",
        buffering=1 if number == 2 else -1,
        encoding=first.encoding,
        errors=first.errors,
        closefd=False,
    )


def _mount_sys() -> None:
    """Show the interfaces of this namespace in /sys, as `ip netns exec` does."""
    libc = ctypes.CDLL(None, use_errno=True)
    for failed in (
        libc.unshare(_CLONE_NEWNS),
        libc.mount(b"", b"/", b"none", _MS_SLAVE | _MS_REC, None),
        libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None),
    ):
        if failed:
            raise OSError(ctypes.get_errno(), "cannot mount /sys")


def _import_everything() -> None:
    """Import what the commands import on their way, so that it is there already."""
    import pyroute2  # noqa: F401

    import nptables.cli.commands.apply
    import nptables.cli.running  # noqa: F401


if __name__ == "__main__":
    _import_everything()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
