"""The iptables-save and iptables-restore programs of one backend and one family."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import attrs

from nptables.errors import (
    KernelBusy,
    KernelError,
    KernelRefused,
    ReadingStarved,
    SaveSyntaxError,
)
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ownership, Ruleset, Table
from nptables.iptables.changes import Step
from nptables.iptables.changes.equality import surplus
from nptables.iptables.changes.steps import PIECE
from nptables.iptables.outlines import Outline, outline, rough_outline
from nptables.iptables.remarks import unreadable_remark
from nptables.kernel.programs import Completed, Programs, Runner, run_program
from nptables.kernel.tables.locks import apply_lock
from nptables.kernel.tables.nft_generation import Commits
from nptables.kernel.tables.parts import owned_parts, remove_jumps, table_names, unprintable_table
from nptables.kernel.tables.xtables import (
    Kind,
    cannot_be_printed,
    classify,
    command,
    complaints,
    legacy_tables,
)
from nptables.translation.owned import ever_owned

Read = TypeVar("Read", Outline | Ruleset, Ruleset)

# As long as kube-proxy waits (WaitSecondsValue in kubernetes/pkg/util/iptables/iptables.go).
DEFAULT_WAIT = 5.0

# Seconds for a program beyond its wait for the lock, and for every line it is fed: the slowest
# load that was ever measured took 0.005 s a line.
_GRACE = 60.0
_SECONDS_A_LINE = 0.005
# Seconds for reading at first, and at most: iptables-nft-save takes 3 s for 120,000 chains as we
# create them, and 200 s where somebody created them in the order of their names.
_READING = 180.0
_LONGEST_READING = 1800.0
# Seconds for reading while others commit, unless the caller gives more: four times what
# 120,000 chains take on a quiet node.
DISTURBED = 10.0
# An undisturbed reading ends by itself, however long it takes.
_ONCE_STARVED = 1.0
# How often to read tables that others write at the same time.
_MOST_READS = 8


@attrs.define
class ReadTimeout:
    """How many seconds the save program gets: twice as many each time they were too few.

    Whoever keeps one and reads again so comes to an end, however large the tables are. While
    others commit it has `disturbed` seconds only, for then it may never end.
    """

    seconds: float = _READING
    longest: float = _LONGEST_READING
    disturbed: float = DISTURBED
    starved: bool = False

    def grow(self) -> None:
        """It took longer."""
        self.seconds = min(2 * self.seconds, self.longest)

    @property
    def limit(self) -> float:
        """Seconds while others commit: few once that was in vain, until a reading ends again."""
        return min(self.disturbed, _ONCE_STARVED) if self.starved else self.disturbed


@frozen
class RestoreBackend:
    """iptables-restore and iptables-save; `wait` is in seconds, for the xtables lock.

    `read_timeout` is kept from one reading to the next.
    """

    kind: Kind
    family: Family
    wait: float = DEFAULT_WAIT
    run: Runner = attrs.field(default=run_program, repr=False)
    read_timeout: ReadTimeout = attrs.field(factory=ReadTimeout, repr=False, eq=False)
    _hindering: set[str] = attrs.field(factory=set, repr=False, eq=False, init=False)

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

        It is asked for all tables at once, since asking the legacy program for one creates it. A
        table with a rule that it has no words for is read chain by chain, as far as that goes (see
        `nptables.kernel.tables.parts`), and the remarks of the ruleset name it.

        Raises ReadingStarved where others commit faster than it reads, and KernelRefused where
        what it printed cannot be everything.
        """
        return self.read_like(None)

    def read_like(self, expected: Ruleset | None) -> Ruleset:
        """The same, where chains that are as expected take no memory of their own."""

        def parsed(done: Completed) -> Ruleset:
            return Ruleset.from_save_lines(done.lines(), family=self.family, like=expected)

        return self._with_unprintable(self._read(counters=False, understand=parsed))

    def read_text(self) -> str | Ruleset:
        """The text with counters that the save program prints, without parsing all of it.

        A ruleset where some of it had to be read in another way. Raises what `read` raises.
        """
        read = self._read(counters=True, understand=self._outlined)
        if isinstance(read, Outline):
            if not read.remarks.unreadable:
                return read.text
            read = Ruleset.from_save(read.text, family=self.family)
        return self._with_unprintable(read)

    def _outlined(self, done: Completed) -> Outline | Ruleset:
        # The kernel gives a legacy table as a whole, while iptables-nft asks for it piece by piece.
        text = done.stdout
        return rough_outline(text) if self.kind == "legacy" else outline(text, self.family)

    def _read(self, *, counters: bool, understand: Callable[[Completed], Read]) -> Read | Ruleset:
        argv = [*command(self.kind, self.family, "save"), *(["-c"] if counters else [])]
        ours, reads = isinstance(self.run, Programs), 0
        commits = Commits(self.read_timeout.limit) if ours and self.kind == "nft" else None
        while True:
            with self._locked():
                done = self._save(argv, commits)
            if done.code and cannot_be_printed(done.stderr):
                return self._printable(argv)
            if done.code:
                raise classify(done, self.kind, self.wait, "reading the tables")
            try:
                read = understand(done)
            except SaveSyntaxError as error:
                # iptables-nft-save that reads while others write prints chains twice.
                reads += 1
                if reads == _MOST_READS and commits is not None and commits.made():
                    raise self._starved(commits) from error
                if reads == _MOST_READS:
                    message = f"{_name(argv)} did not print a ruleset: {error}"
                    raise KernelRefused(message) from error
                continue
            self.read_timeout.starved = False
            self._hindering.clear()
            self._refuse_what_is_short(argv, done, read)
            return read

    def read_parts(self, owner: Ownership) -> Ruleset:
        """What can be read however busy the tables are: chains of fixed names, names of the rest.

        Legacy tables can always be read whole. Raises KernelError.
        """
        return self.read() if self.kind == "legacy" else owned_parts(self, owner)

    def _save(self, argv: Sequence[str], commits: Commits | None) -> Completed:
        try:
            if commits is None or not isinstance(self.run, Programs):
                return self.run(argv, "", self.read_timeout.seconds)
            return self.run(argv, "", self.read_timeout.seconds, commits.starve)
        except KernelBusy as error:
            # It was ended because others had committed: more time would not have helped.
            if commits is not None and commits.count:
                raise self._starved(commits) from error
            # A runner says so only of a program that took longer than it might.
            self.read_timeout.grow()
            raise

    def _starved(self, commits: Commits) -> ReadingStarved:
        self.read_timeout.starved = True
        changes = "once" if commits.count == 1 else f"{commits.count} times"
        return ReadingStarved(
            f"the {self.family.value} nft tables could not be read in {commits.seconds:g} s: "
            f"other programs changed them {changes} meanwhile, and iptables-nft-save starts over "
            "each time or prints inconsistent tables; try again when they pause, or wait longer "
            "with --wait",
            commits=commits.count,
            seconds=commits.seconds,
        )

    def _printable(self, argv: Sequence[str]) -> Ruleset:
        """Each table by itself, where the program ended at a rule that it could not print."""
        tables: dict[str, Table] = {}
        comments: list[tuple[int, str]] = []
        for table in table_names(self):
            with self._locked():
                # Only tables that are there are asked for: none is created by that.
                done = self.run([*argv, "-t", table], "", self.read_timeout.seconds)
            if done.code and not cannot_be_printed(done.stderr):
                raise classify(done, self.kind, self.wait, f"reading the {table} table")
            read = Ruleset(self.family, {})
            if not done.code:
                read = Ruleset.from_save(done.stdout, family=self.family)
            tables |= read.tables
            if table not in read.tables:
                comments.append((len(comments), unreadable_remark(table)))
                self._hindering.add(table)
        return Ruleset(self.family, tables, tuple(comments))

    def _with_unprintable(self, read: Ruleset) -> Ruleset:
        unread = [t for t in read.remarks.unreadable if t not in read.tables]
        if not unread:
            return read
        found = {table: unprintable_table(self, table, ever_owned()) for table in unread}
        return attrs.evolve(read, tables={**read.tables, **found})

    def _refuse_what_is_short(
        self, argv: Sequence[str], done: Completed, read: Outline | Ruleset
    ) -> None:
        """A reading that ended well and cannot be everything is none."""
        why = ""
        if read.remarks.cut_off:
            why = "its output ends in the middle"
        elif complaint := complaints(done.stderr):
            why = f"it says: {complaint}"
        # Which legacy tables there are is known of our own network namespace only, and another
        # Runner may work elsewhere.
        elif self.kind == "legacy" and isinstance(self.run, Programs):
            missing = [t for t in legacy_tables(self.family) if t not in read.tables]
            why = f"it leaves out the table {missing[0]}, which is there" if missing else ""
        if why:
            raise KernelRefused(
                f"what {_name(argv)} printed is incomplete, although it exited with 0: {why}",
                stderr=done.stderr,
            )

    def commit(self, steps: Sequence[Step]) -> None:
        """One program for all steps; each step is a commit of its own in its input.

        Where iptables-nft cannot even look for a rule to delete, nft deletes it, in a commit more.
        """
        by_nft = [step for step in steps if step.table in self._hindering and step.remove]
        if not by_nft:
            self._commit(steps)
            return
        for step in steps:
            if rest := attrs.evolve(step, remove=(), reinsert=()) if step in by_nft else step:
                self._commit([rest])
            if step in by_nft:
                with self._locked():
                    # By handle the last of equal jumps go: the first need not be put back.
                    back = [insertion.line for insertion in step.reinsert]
                    remove_jumps(self, step.table, list(surplus(step.remove, back)))

    def _commit(self, steps: Sequence[Step]) -> None:
        # Line by line, and not a text for each step: those of a large cluster are 38 MB.
        lines = itertools.chain.from_iterable(step.restore_lines() for step in steps)
        text = "\n".join(itertools.chain(lines, [""]))
        argv = [
            *command(self.kind, self.family, "restore"),
            # Otherwise it deletes all that a table had before, rules of others too
            # (iptables-restore(8)).
            "--noflush",
            "-w",
            # 0 means not to wait at all: xtables_lock in iptables/xshared.c then asks with LOCK_NB.
            # nft takes no lock and ignores the option.
            str(max(1, math.ceil(self.wait))),
        ]
        seconds = self.wait + _GRACE + text.count("\n") * _SECONDS_A_LINE
        with self._locked():
            done = self.run(argv, text, seconds)
        if done.code:
            raise self._refusal(done, steps)

    def _locked(self) -> AbstractContextManager[None]:
        """Wait for what another nptables, or the program of one that was killed, is about to do.

        A Runner that is not ours works on tables that the lock of this process is not about.
        """
        return apply_lock(self.wait) if isinstance(self.run, Programs) else nullcontext()

    def _refusal(self, done: Completed, steps: Sequence[Step]) -> KernelError:
        step, line = _locate(failed_line(done.stderr), steps)
        error = classify(done, self.kind, self.wait, step.purpose if step else "applying")
        if isinstance(error, KernelRefused) and step is not None:
            error = KernelRefused(
                error.message,
                table=step.table,
                step=step.purpose,
                # Legacy complains about COMMIT whatever the kernel refused, and so does nft about a
                # jump that leads nowhere: then the line tells nothing.
                line="" if line == "COMMIT" or line.startswith("*") else line,
                code=done.code,
                stderr=done.stderr,
            )
        return error


def _name(argv: Sequence[str]) -> str:
    """The save program in the words that start it, for messages."""
    return [word for word in argv if word != "-c"][-1]


_LINE = re.compile(r"\bline:? (\d+)")


def failed_line(stderr: str) -> int | None:
    """The number of the input line that a restore program complains about."""
    found = _LINE.search(stderr)
    return int(found[1]) if found else None


def _locate(number: int | None, steps: Sequence[Step]) -> tuple[Step | None, str]:
    if number is not None:
        for step in steps:
            lines = list(step.restore_lines())
            if number <= len(lines):
                return step, lines[number - 1]
            number -= len(lines)
    return (steps[0] if len(steps) == 1 else None), ""
