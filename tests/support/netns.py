"""A network namespace with tables of its own, so that no test touches those of the machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nptables.kernel.tables.nft_generation import generation
from tests.support import commands
from tests.support.entering import entered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Backend = Literal["legacy", "nft"]
Family = Literal["IPV4", "IPV6"]

BACKENDS: tuple[Backend, ...] = ("legacy", "nft")
FAMILIES: tuple[Family, ...] = ("IPV4", "IPV6")
# Seconds that a program may wait for the xtables lock, which all namespaces share.
LOCK_WAIT = "60"
# Seconds that nft tables are read again and again because somebody wrote to them meanwhile.
_DISTURBED = 20.0
NPTABLES = [sys.executable, "-m", "nptables"]
_PREFIX = "nptables-test"
# Programs that read nothing in /sys, which a thread that enters a namespace keeps from its old one.
_WITHOUT_SYS = re.compile(r"(ip|ip6?tables(-.+)?|nft|nfacct|conntrack|sysctl)")
_PROGRAMS = {"IPV4": "iptables", "IPV6": "ip6tables"}


@dataclass(frozen=True)
class Namespace:
    """A network namespace and the iptables backend that a test uses in it."""

    name: str
    backend: Backend

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        input: str | None = None,  # noqa: A002 (the name that subprocess.run has for it)
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside; a failure says what it wrote."""
        words = list(map(str, argv))
        if words[:3] == NPTABLES and not input and env is None:
            done = commands.run(words[3:], self.name)
        else:
            done = self._start(words, input or "", env)
        if check and done.returncode:
            message = f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            raise AssertionError(message)
        return done

    def _start(
        self, argv: list[str], text: str, env: Mapping[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        with self.starting(argv) as started:
            return subprocess.run(
                started,
                input=text,
                capture_output=True,
                text=True,
                check=False,
                env=None if env is None else {**os.environ, **env},
                timeout=300,
            )

    @contextlib.contextmanager
    def starting(self, argv: Sequence[str]) -> Iterator[list[str]]:
        """Give the command that, started by this thread in the block, runs a program inside.

        `ip netns exec` mounts /sys anew, which takes more time than most programs do.
        """
        if _WITHOUT_SYS.fullmatch(argv[0]):
            with entered(self.name):
                yield [*argv]
        else:
            yield ["ip", "netns", "exec", self.name, *argv]

    def program(self, family: Family, suffix: str = "") -> str:
        """Name the program of the backend: `program("IPV6", "save")` is ip6tables-nft-save."""
        return "-".join(filter(None, (_PROGRAMS[family], self.backend, suffix)))

    def iptables(self, family: Family, *args: str) -> None:
        """Run one command such as `-P FORWARD DROP`."""
        self.run([self.program(family), "-w", LOCK_WAIT, *args])

    def restore(self, text: str, family: Family, *, noflush: bool = False) -> None:
        """Load text as iptables-restore does."""
        options = ["-w", LOCK_WAIT, *(["--noflush"] if noflush else [])]
        self.run([self.program(family, "restore"), *options], input=text)

    def read(self, argv: Sequence[str]) -> str:
        """Return what a program prints of the nft tables as they were at one moment.

        Where somebody commits meanwhile, nft and iptables-nft-save may print chains twice, and
        tables of different moments. So the program is run until nobody does; where others never
        pause for as long, what it printed last is returned.
        """
        until = time.monotonic() + _DISTURBED
        while True:
            before = self._generation()
            text = self.run(argv).stdout
            if before == self._generation() or time.monotonic() > until:
                return text

    def _generation(self) -> int | None:
        with entered(self.name):
            return generation()

    def save(self, family: Family, *, one_moment: bool = True) -> str:
        """Return the tables as iptables-save prints them, without its comment lines.

        Those of nft are of one moment, as with `read`, unless whoever asks does without.
        """
        argv = [self.program(family, "save")]
        again = one_moment and self.backend == "nft"
        text = self.read(argv) if again else self.run(argv).stdout
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


@contextlib.contextmanager
def network_namespace(backend: Backend) -> Iterator[Namespace]:
    """Make a namespace, and remove it whatever happens in it."""
    name = unique_name()
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=60)
    try:
        yield Namespace(name, backend)
    finally:
        remove_namespace(name)


def unique_name(purpose: str = "") -> str:
    """Make a namespace's name that tells which process owns it, and what it is for."""
    return "-".join(filter(None, (_PREFIX, str(os.getpid()), uuid.uuid4().hex[:8], purpose)))


def remove_orphans() -> None:
    """Remove the namespaces of test runs that were killed before they could do it."""
    folder = Path("/run/netns")
    for path in folder.glob(f"{_PREFIX}-*") if folder.is_dir() else ():
        owner = path.name.removeprefix(f"{_PREFIX}-").split("-")[0]
        if not Path("/proc", owner).exists():
            remove_namespace(path.name)


def remove_namespace(name: str) -> None:
    """Remove a namespace, if it is there, and every process inside."""
    # A process left inside would keep the namespace and its tables alive without a name.
    for process in processes_in(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, 9)
    if Path("/run/netns", name).exists():
        subprocess.run(["ip", "netns", "delete", name], check=False, timeout=60)


def processes_in(name: str) -> list[int]:
    """The processes in a namespace, as `ip netns pids` tells them from outside."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        namespace = Path("/run/netns", name).stat()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.path.samestat((process / "ns" / "net").stat(), namespace):
                    found.append(int(process.name))
    return found
