"""Who handles Services on this node, by what is cheap to look at: whatever is named there.

No table is read: the rules of a kube-proxy in mode iptables are ours to write.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from nptables.errors import KernelError
from nptables.evidence.handlers import handling
from nptables.evidence.handling import Handling
from nptables.evidence.node import Process
from nptables.evidence.processes import HANDLERS, arguments_of
from nptables.evidence.signs import Signs
from nptables.kernel.node.kube_proxy import of_this_network
from nptables.kernel.node.other_tables import table_names
from nptables.kernel.programs import Runner, find_program, run_program

_SECONDS = 30.0
# The lines of /proc/net/dev and /proc/net/ip_vs that say what the columns are.
_HEADINGS = {"dev": 2, "ip_vs": 3}


def find_handlers(proc: Path = Path("/proc"), run: Runner = run_program) -> Handling:
    """Who handles Services on this node, as far as that can be told without its rules.

    What cannot be looked at, for want of rights or of a program, is left open.
    """
    interfaces = _lines(proc, "dev")
    servers = _lines(proc, "ip_vs")
    return handling(
        Signs(
            interfaces=frozenset(line.partition(":")[0].strip() for line in interfaces),
            sets=_sets(run),
            tables=_tables(),
            processes=tuple(_processes(proc)),
            servers=bool(servers),
        )
    )


def _lines(proc: Path, name: str) -> list[str]:
    """What a file of /proc/net lists; nothing where it is not there, as the module is not."""
    try:
        text = (proc / "self/net" / name).read_text(errors="replace")
        return text.splitlines()[_HEADINGS[name] :]
    except OSError:
        return []


def _processes(proc: Path) -> list[Process]:
    found = []
    with contextlib.suppress(OSError):
        for path, name in of_this_network(proc, HANDLERS):
            with contextlib.suppress(OSError):
                line = (path / "cmdline").read_bytes()
                found.append(Process(name, int(path.name), arguments_of(line)))
    return found


def _sets(run: Runner) -> frozenset[str] | None:
    said = _said(["ipset", "list", "-n"], run)
    return None if said is None else frozenset(said.split())


def _tables() -> frozenset[str] | None:
    try:
        return frozenset(f"{family} {name}" for family, name in table_names())
    except OSError:
        return None


def _said(argv: list[str], run: Runner) -> str | None:
    program = find_program(argv[0])
    if program is None:
        return None
    try:
        done = run([program, *argv[1:]], "", _SECONDS)
    except KernelError:
        return None
    return done.stdout if done.code == 0 else None
