"""Whether a kube-proxy runs in this network namespace, by its process and its ports, and which."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from nptables.evidence.kubeproxy import NAME, WITH_KUBE_PROXY
from nptables.evidence.other_rules import BY_ITS_PORTS

# The ports on which kube-proxy listens unless told otherwise: health and metrics.
PORTS = (10256, 10249)
# TCP_LISTEN of include/net/tcp_states.h.
_LISTEN = "0A"


def find_kube_proxy(proc: Path = Path("/proc")) -> str:
    """What runs, in words such as `kube-proxy (pid 12)`, or an empty string.

    A process counts where it shares our network namespace, or does not let us see. A listener on
    both of kube-proxy's ports counts where a program owns it that has a kube-proxy in its process,
    such as k3s, and where no process here does: in a container others cannot be seen.
    """
    if not (proc / "self/ns/net").exists():
        return ""
    for process, name in of_this_network(proc, frozenset({NAME})):
        return f"{name} (pid {process.name})"
    listeners = _listeners(proc)
    if not all(port in listeners for port in PORTS):
        return ""
    owners = list(_owners(proc, {listeners[port] for port in PORTS}))
    for process in owners:
        if (name := _name(process)) in WITH_KUBE_PROXY:
            return f"{NAME} in {name} (pid {process.name})"
    return "" if owners else BY_ITS_PORTS


def _name(process: Path) -> str:
    """What the kernel calls a process; empty where it is gone."""
    try:
        # Any program may call itself anything, in any bytes.
        return (process / "comm").read_bytes().decode(errors="replace").rstrip("\n")
    except OSError:
        return ""


def of_this_network(proc: Path, names: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """The processes of some names that share our network namespace, or do not let us see.

    They come by their number. Raises OSError where nobody's can be listed.
    """
    ours = (proc / "self/ns/net").stat().st_ino
    for process in sorted(_processes(proc), key=lambda path: int(path.name)):
        name = _name(process)
        if name not in names:
            continue
        try:
            if (process / "ns/net").stat().st_ino != ours:
                continue
        except PermissionError:
            # Without CAP_SYS_PTRACE nobody sees the namespace of a process with more rights.
            pass
        except OSError:
            continue
        yield process, name


_BUILD = re.compile(
    rb'^kubernetes_build_info\{[^}\n]*\bgit_version="(v[0-9][^"\n]{0,60})"', re.MULTILINE
)
# Whoever listens there may be anybody: he gets little time, and little of what he says is read.
_TIMEOUT = 1.0
_LARGEST = 16 << 20


def running_version(proc: Path = Path("/proc"), port: int = PORTS[1]) -> str:
    """The version of the kube-proxy that runs, such as `v1.30.4`, or an empty string.

    Its metrics say it. Its program is not started to ask: who could replace it in its container
    would have a program run as root on the node.
    """
    if not find_kube_proxy(proc):
        return ""
    found = _BUILD.search(ask_kube_proxy("/metrics", port))
    return "" if found is None else found[1].decode(errors="replace")


def ask_kube_proxy(path: str, port: int = PORTS[1]) -> bytes:
    """What answers at a path of the metrics port of this node; empty where nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read(_LARGEST) if answer.status == HTTPStatus.OK else b""
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def _processes(proc: Path) -> Iterator[Path]:
    return (path for path in proc.iterdir() if path.name.isdecimal())


def _listeners(proc: Path) -> dict[int, str]:
    """The ports that somebody listens on, with the inode of the socket."""
    found: dict[int, str] = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "self/net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            # Of /proc/net/tcp (proc_pid_net(5)): 1 is the local address, 3 the state, 9 the inode.
            if len(fields) > 9 and fields[3] == _LISTEN:
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def _owners(proc: Path, sockets: set[str]) -> Iterator[Path]:
    """The processes that can be seen and have any of some sockets, by their inodes."""
    targets = {f"socket:[{inode}]" for inode in sockets}
    for process in _processes(proc):
        try:
            if any(str(handle.readlink()) in targets for handle in (process / "fd").iterdir()):
                yield process
        except OSError:
            continue
