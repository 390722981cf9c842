"""Somebody else who changes the tables of a namespace all the time, as network plugins do."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Namespace

CHAIN = "OTHERS"
_KEPT = 20


class Writer:
    """A process that commits every so many seconds; `rules` is what it should have left behind."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.commits = 0
        self.rules: list[str] = []

    def stop(self) -> None:
        """End it; it tells how often it committed, and its rules."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            written, _ = self._process.communicate("stop\n", timeout=60)
            first, *self.rules = written.splitlines()
            self.commits = int(first)


@contextlib.contextmanager
def committing(namespace: Namespace, every: float) -> Iterator[Writer]:
    """Have somebody add and remove rules in a chain of his own in filter, a commit each time."""
    program = namespace.program("IPV4")
    argv = ["ip", "netns", "exec", namespace.name, sys.executable, __file__, program, str(every)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        writer = Writer(process)
        try:
            yield writer
        finally:
            writer.stop()


def _write(program: str, every: float) -> None:
    def run(*words: str) -> None:
        subprocess.run([program, "-w", "60", *words], check=True)

    run("-N", CHAIN)
    rules: list[str] = []
    commits = 1
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], every)[0]:
        if len(rules) < _KEPT:
            rule = f"-s 10.99.{commits // 250 % 250}.{commits % 250}/32 -j RETURN"
            run("-A", CHAIN, *rule.split())
            rules.append(f"-A {CHAIN} {rule}")
        else:
            run("-D", CHAIN, "1")
            del rules[0]
        commits += 1
    sys.stdout.write("\n".join([str(commits), *rules, ""]))


if __name__ == "__main__":
    _write(sys.argv[1], float(sys.argv[2]))
