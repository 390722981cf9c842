"""Which line the kernel refused, where the program says no more than that the commit failed."""

from __future__ import annotations

import os

from nptables.errors import KernelError, KernelRefused
from nptables.iptables.changes import Step
from nptables.iptables.changes.likeness import target_of
from nptables.iptables.ruleset import chain_of
from nptables.kernel.tables.backend import Backend


def explain(backend: Backend, step: Step) -> str:
    """The first line of a refused step that the kernel refuses by itself, or an empty string.

    Lines are tried in halves in a chain of our own that nothing leads to, which is deleted at
    once: no packet meets it. A jump to a chain of the step cannot be tried that way; nor can what
    is refused only because of where the chain is used.
    """
    lines = [line for chain in step.fill.values() for line in chain]
    lines += [insertion.line for insertion in step.insert]
    probe = _Probe(backend, step.table)
    candidates = [line for line in lines if target_of(line) not in step.fill]
    try:
        if not candidates or not probe.refuses(candidates):
            return ""
        while len(candidates) > 1:
            middle = len(candidates) // 2
            first = candidates[:middle]
            candidates = first if probe.refuses(first) else candidates[middle:]
    except KernelError:
        return ""
    return candidates[0]


class _Probe:
    """A chain that lines are tried in."""

    def __init__(self, backend: Backend, table: str) -> None:
        self.backend = backend
        self.table = table
        self.chain = f"NPTABLES-PROBE-{os.getpid()}"

    def refuses(self, lines: list[str]) -> bool:
        """Whether the kernel refuses any of the lines."""
        tried = tuple(f"-A {self.chain}{line[3 + len(chain_of(line)) :]}" for line in lines)
        try:
            self.backend.commit([Step(self.table, "finding the refused line", {self.chain: tried})])
        except KernelRefused:
            return True
        self.backend.commit([Step(self.table, "finding the refused line", delete=(self.chain,))])
        return False
