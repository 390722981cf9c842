"""The iptables-save and iptables-restore programs of one backend and one family."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import attrs

from nptables.errors import (
    BackendUnavailable,
    KernelBusy,
    KernelError,
    KernelRefused,
    SaveSyntaxError,
    printable,
)
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.changes import Step
from nptables.iptables.changes.steps import PIECE
from nptables.kernel.programs import Completed, Programs, Runner, find_program, run_program
from nptables.kernel.tables.lock import busy, lock_holder
from nptables.kernel.tables.turn import our_turn

Kind = Literal["legacy", "nft"]
KINDS: tuple[Kind, ...] = ("legacy", "nft")
DEFAULT_WAIT = 5.0

# Seconds for a program beyond its wait for the lock, and for every line it is fed: the slowest
# load that was ever measured took 0.005 s a line.
_GRACE = 60.0
_SECONDS_A_LINE = 0.005
# Seconds for reading at first, and at most: iptables-nft-save takes 3 s for 120,000 chains as we
# create them, and 200 s where somebody created them in the order of their names.
_READING = 180.0
_LONGEST_READING = 1800.0
# How often to read tables that others write at the same time.
_MOST_READS = 8


def stem(family: Family) -> str:
    """`iptables` or `ip6tables`."""
    return "iptables" if family is Family.IPV4 else "ip6tables"


def command(kind: Kind, family: Family, suffix: str = "") -> list[str]:
    """The words that start a program of a backend: iptables-nft-save, or what stands for it.

    Where there is no program of that name, the multi-call binary is taken. Raises
    BackendUnavailable where neither is there.
    """
    name = "-".join(filter(None, (stem(family), kind, suffix)))
    if found := find_program(name):
        return [found]
    if found := find_program(f"xtables-{kind}-multi"):
        return [found, "-".join(filter(None, (stem(family), suffix)))]
    raise BackendUnavailable(
        f"the program {name} is not installed, and the {kind} backend needs it: install it "
        "(Debian: iptables), or say another --backend"
    )


@attrs.define
class Patience:
    """How many seconds the save program gets: twice as many each time they were too few.

    Whoever keeps one and reads again so comes to an end, however large the tables are.
    """

    seconds: float = _READING
    longest: float = _LONGEST_READING

    def grow(self) -> None:
        """It took longer."""
        self.seconds = min(2 * self.seconds, self.longest)


@attrs.frozen
class RestoreBackend:
    """iptables-restore and iptables-save; `wait` is in seconds, for the xtables lock.

    `patience` is for reading, and is kept from one reading to the next.
    """

    kind: Kind
    family: Family
    wait: float = DEFAULT_WAIT
    run: Runner = attrs.field(default=run_program, repr=False)
    patience: Patience = attrs.field(factory=Patience, repr=False, eq=False)

    @property
    def name(self) -> str:
        """`legacy` or `nft`."""
        return self.kind

    @property
    def piece(self) -> int | None:
        """One large commit takes nft far longer than many small ones."""
        return PIECE if self.kind == "nft" else None

    def read(self) -> Ruleset:
        """The tables as the save program prints them.

        It is asked for all tables at once, since asking the legacy program for one creates it.
        """
        argv = command(self.kind, self.family, "save")
        for _ in range(_MOST_READS):
            with self._turn():
                done = self._save(argv)
            if done.code:
                raise classify(done, self.kind, self.wait, "reading the tables")
            try:
                return Ruleset.from_save(done.stdout, family=self.family)
            except SaveSyntaxError as error:
                # iptables-nft-save that reads while others write prints chains twice.
                torn = error
        raise KernelRefused(f"{argv[-1]} printed what is no ruleset: {torn}") from torn

    def _save(self, argv: Sequence[str]) -> Completed:
        try:
            return self.run(argv, "", self.patience.seconds)
        except KernelBusy:
            # A runner says so only of a program that took longer than it might.
            self.patience.grow()
            raise

    def commit(self, steps: Sequence[Step]) -> None:
        """One program for all steps; each step is a commit of its own in its input."""
        lines = [list(step.restore_lines()) for step in steps]
        text = "\n".join(itertools.chain.from_iterable([*lines, [""]]))
        count = sum(map(len, lines))
        argv = [
            *command(self.kind, self.family, "restore"),
            "--noflush",
            "-w",
            str(max(1, math.ceil(self.wait))),
        ]
        seconds = self.wait + _GRACE + count * _SECONDS_A_LINE
        with self._turn():
            done = self.run(argv, text, seconds)
        if done.code:
            raise self._refusal(done, steps, lines)

    def _turn(self) -> AbstractContextManager[None]:
        """Wait for what another nptables, or the program of one that was killed, is about to do.

        A Runner that is not ours works on tables that the lock of this process is not about.
        """
        return our_turn(self.wait) if isinstance(self.run, Programs) else nullcontext()

    def _refusal(
        self, done: Completed, steps: Sequence[Step], lines: Sequence[Sequence[str]]
    ) -> KernelError:
        number = failed_line(done.stderr)
        step, line = _locate(number, steps, lines)
        error = classify(done, self.kind, self.wait, step.purpose if step else "applying")
        if isinstance(error, KernelRefused) and step is not None:
            error = KernelRefused(
                error.message,
                table=step.table,
                step=step.purpose,
                line="" if line == "COMMIT" or line.startswith("*") else line,
                code=done.code,
                stderr=done.stderr,
            )
        return error


_LINE = re.compile(r"\bline:? (\d+)")


def failed_line(stderr: str) -> int | None:
    """The number of the input line that a restore program complains about."""
    found = _LINE.search(stderr)
    return int(found[1]) if found else None


def _locate(
    number: int | None, steps: Sequence[Step], lines: Iterable[Sequence[str]]
) -> tuple[Step | None, str]:
    if number is not None:
        for step, text in zip(steps, lines, strict=True):
            if number <= len(text):
                return step, text[number - 1]
            number -= len(text)
    return (steps[0] if len(steps) == 1 else None), ""


_NOT_ROOT = re.compile(r"you must be root|Permission denied|Operation not permitted")
_NO_SUPPORT = re.compile(
    r"can't initialize ip6?tables table|Table does not exist|Protocol not (?:supported|available)"
    r"|Address family not supported|Failed to initialize nft|do you need to insmod"
    r"|rule set generation id: (?:Invalid argument|Operation not supported)"
)
# What legacy says for want of rights as well as of support.
_NOT_OPENED = re.compile(r"unable to initialize table")
_LOCKED = re.compile(r"holding the xtables lock|Resource temporarily unavailable")
_FULL = re.compile(r"No space left on device|Read-only file system")
_NOISE = re.compile(r"^(?:Try `.*|Error occurred at line: \d+|Perhaps iptables or your kernel.*)$")


def classify(done: Completed, kind: Kind, waited: float, doing: str) -> KernelError:
    """What a program's exit code and words mean, by backend.

    Exit code 4 is a held lock on legacy, but any refusal of the kernel on nft.
    """
    words = done.stderr
    if _LOCKED.search(words):
        if kind == "legacy":
            return busy(waited, lock_holder())
        return KernelBusy(f"{doing}: the kernel was busy with another change; try again")
    if _FULL.search(words) and "xtables.lock" in words:
        return BackendUnavailable(f"{doing}: {_said(words)}")
    if _NOT_ROOT.search(words):
        return BackendUnavailable(
            f"{doing} needs root (CAP_NET_ADMIN and CAP_NET_RAW): {_said(words)}"
        )
    if _NOT_OPENED.search(words):
        return BackendUnavailable(
            f"{doing}: the legacy tables cannot be opened, which takes root (CAP_NET_ADMIN and "
            f"CAP_NET_RAW) and a kernel that has them: {_said(words)}"
        )
    if _NO_SUPPORT.search(words):
        return BackendUnavailable(f"{doing}: this kernel lacks the tables: {_said(words)}")
    if done.code < 0:
        return KernelBusy(f"{doing}: the program was killed by signal {-done.code}")
    return KernelRefused(_said(words) or f"exit code {done.code}", code=done.code, stderr=words)


def _said(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line for line in lines if not _NOISE.match(line)]
    return printable("; ".join(told or lines), 600)
