"""The programs of this network namespace that may handle Services, without anything secret."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nptables.errors import printable
from nptables.evidence import Gap, Process
from nptables.evidence.other_rules import BY_ITS_PORTS
from nptables.evidence.processes import HANDLERS, arguments_of, configuration_path, settings_of
from nptables.kernel.node.kube_proxy import (
    ask_kube_proxy,
    find_kube_proxy,
    of_this_network,
    running_version,
)

# Gives what a YAML text says, or None where it says nothing.
ReadYaml = Callable[[str], Any]

_PROC = Path("/proc")
_LARGEST = 1 << 20
_WHAT = "processes"


def find_processes(
    read_yaml: ReadYaml | None, gaps: list[Gap], proc: Path = _PROC
) -> tuple[Process, ...] | None:
    """The programs that may handle Services, by their process number.

    A process counts where it shares our network namespace, or does not let us see.
    """
    try:
        there = list(of_this_network(proc, HANDLERS))
    except OSError as error:
        gaps.append(Gap(_WHAT, f"they cannot be listed: {error.strerror}"))
        return None
    found = [p for folder, name in there if (p := _process(folder, name, read_yaml, gaps))]
    if find_kube_proxy(proc) == BY_ITS_PORTS:
        # Its ports are there, and nobody here sees the process.
        found.append(_told("kube-proxy"))
    return tuple(found)


def _process(
    folder: Path, name: str, read_yaml: ReadYaml | None, gaps: list[Gap]
) -> Process | None:
    try:
        line = (folder / "cmdline").read_bytes()
    except OSError:
        return None
    arguments = arguments_of(line)
    if name == "nptables" and "run" not in arguments:
        return None
    configuration = None
    if name == "kube-proxy" and (path := configuration_path(line)):
        configuration, why = _configuration(folder, path, read_yaml)
        if why:
            gaps.append(Gap(f"the configuration of {name}", f"{printable(path)}: {why}"))
    told = _told(name) if name == "kube-proxy" else Process(name)
    return Process(name, int(folder.name), arguments, configuration, told.mode, told.version)


def _told(name: str) -> Process:
    """What a kube-proxy says of itself."""
    mode = ask_kube_proxy("/proxyMode").decode("ascii", "replace").strip()
    return Process(name, mode=mode if mode.isalpha() else "", version=running_version())


def _configuration(
    folder: Path, path: str, read_yaml: ReadYaml | None
) -> tuple[Mapping[str, Any] | None, str]:
    """The configuration file as its program sees it, and why it could not be read.

    Anybody can give a program this name and any file as its configuration: only what is one of
    kube-proxy's gets in.
    """
    if read_yaml is None:
        return None, "it was not asked for"
    try:
        text = _text(
            # By way of /proc/PID/root and cwd (proc(5)): a container has other files at the same
            # paths.
            folder / "root" / path.lstrip("/") if path.startswith("/") else folder / "cwd" / path
        )
    except OSError as error:
        return None, (error.strerror or str(error)).lower()
    found = settings_of(read_yaml(text))
    return found, "" if found is not None else "it is not a KubeProxyConfiguration"


def _text(path: Path) -> str:
    """The text of an ordinary file, which cannot make us wait. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is not a regular file")
        return file.read(_LARGEST).decode("utf-8", "replace")
