"""The one module of this package that starts programs: kustomize, kubectl and helm.

They get a time limit, a home of their own that is empty, and no network: a namespace without one
where the kernel lets us, and in any case proxies that lead nowhere. What they say when they fail
is boiled down to one sentence.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nptables.errors import printable
from nptables.immutable import frozen

SECONDS = 30.0
# The port of the discard service, on which nothing listens nowadays.
_NOWHERE = "http://127.0.0.1:9"
_LONGEST_SENTENCE = 400
# What stands before the words proper, the second as kubectl logs it.
_OPENING = re.compile(r'^[Ee]rror: |^[EF]\d{4} [^]]*\] "command failed" err=')


@frozen
class Failure:
    """Why a program gave no manifests, in one sentence."""

    reason: str


def kustomize_program() -> tuple[str, ...] | None:
    """The command that builds a kustomization, or None where no program for it is there."""
    if found := _which("kustomize"):
        return (found, "build")
    found = _which("kubectl")
    return (found, "kustomize") if found else None


def helm_program() -> str | None:
    """The helm program, or None."""
    return _which("helm")


def output_of(argv: Sequence[str], *, seconds: float = SECONDS) -> str | Failure:
    """What a program prints, or why it prints nothing of use."""
    name = Path(argv[0]).name
    with tempfile.TemporaryDirectory(prefix="nptables-") as home:
        try:
            process = subprocess.Popen(
                [*_without_network(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(home),
                # A session of its own, so that what it has started is ended with it.
                start_new_session=True,
            )
        except OSError as error:
            return Failure(f"{name} cannot be started: {(error.strerror or str(error)).lower()}")
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Failure(f"{name} did not finish within {seconds:g} s")
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        return Failure(f"{name}: {_sentence(err, out) or f'exit code {process.returncode}'}")
    return out.decode("utf-8", "replace")


def _which(program: str) -> str | None:
    """A program on PATH, or beside the Python that runs, where wheels put theirs."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _environment(home: str) -> dict[str, str]:
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "KUBECONFIG": os.devnull,
        "XDG_CONFIG_HOME": home,
        "HELM_CACHE_HOME": home,
        "HELM_CONFIG_HOME": home,
        "HELM_DATA_HOME": home,
        # kustomize gets remote bases with git, which must neither ask anybody nor go anywhere.
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",
        **proxies,
        # Some programs read the small letters alone, as curl does for http_proxy.
        **{name.lower(): value for name, value in proxies.items()},
        "NO_PROXY": "",
    }


@functools.cache
def _without_network() -> tuple[str, ...]:
    """What to put before a command so that it has no network, where the kernel lets us."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    # Root may make a namespace; others may only within one of users, and not everywhere.
    for options in (("--net",), ("--user", "--map-root-user", "--net")):
        command = (unshare, *options, "--")
        try:
            probe = subprocess.run(
                [*command, "true"], capture_output=True, check=False, timeout=5,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            continue
        if probe.returncode == 0:
            return command
    return ()


def _sentence(err: bytes, out: bytes) -> str:
    """The last thing that a program complains of, on one line."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines()]
    telling = [
        line
        for line in lines
        if line and not line.startswith(("#", "WARNING", "Warning", "Use --debug", "I0", "W0"))
    ]
    text = " ".join(telling) or out.decode("utf-8", "replace").strip().rpartition("\n")[2]
    text = _OPENING.sub("", text)
    return printable(text, _LONGEST_SENTENCE)
