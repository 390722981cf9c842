"""Carrying a plan out on a backend: steps, retries, what cannot be deleted, verification.

Where a program says no more than that a commit failed, the line that the kernel refuses is found by
trying lines in halves.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from nptables.errors import (
    BackendUnavailable,
    KernelBusy,
    KernelError,
    KernelRefused,
    NotConverged,
    ReadingStarved,
)
from nptables.immutable import frozen
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import ChainChange, Plan, Step, diff
from nptables.iptables.changes.steps import emptied, steps_of, with_chains, with_deletions
from nptables.iptables.ruleset import chain_of, target_of
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.parts import can_be_read_back
from nptables.translation.explanation.grouping import service_groups


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
        # The line is only for the message. A look that fails must not hide why the step was
        # refused.
        return ""
    return candidates[0]


class _Probe:
    """A chain that lines are tried in."""

    def __init__(self, backend: Backend, table: str) -> None:
        self.backend = backend
        self.table = table
        # A name for each process: two that look for a line at the same time must not empty each
        # other's chain.
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


# How often to plan anew where somebody else changed the tables meanwhile.
_MOST_PLANS = 5
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
# What a step is for that only writes chains of `beside`.
_BESIDE = "chains beside the plan"


@frozen
class Applied:
    """What an apply did.

    `commits` counts the commits, `kept` are the chains (table, chain) that stay because others use
    them, `replanned` is how often the plan was made anew because somebody else changed the tables.
    `verified` says that the tables were read back, `after` is what was read then. `found` is what
    the tables held where the plan did not fit them. `starved` says why they were not read, if
    others kept us from it: then only our jumps and the chains of fixed names were looked at.
    `beside` says that the chains of that name of the applier were written too.
    """

    plan: Plan
    commits: int = 0
    kept: tuple[tuple[str, str], ...] = ()
    replanned: int = 0
    verified: bool = False
    after: Ruleset | None = attrs.field(default=None, repr=False)
    found: Ruleset | None = attrs.field(default=None, repr=False)
    starved: ReadingStarved | None = None
    beside: bool = False


class Applier:
    """Brings the owned part of a backend's tables to what a plan says.

    One Applier for each backend and family, used by one thread at a time. `verify` reads the
    tables back. While the kernel is busy it tries again, with growing pauses, for at most `wait`
    seconds. Where others keep the tables from being read it gives up with ReadingStarved, or, if
    it may be `blind`, goes on with what can be read; `starved` says that they do so already.
    `beside` are chains (lines by table and chain) that are written together with whatever is to
    do: on legacy a commit of their own would cost as much again. Where the kernel does not take
    those that need one all the same, the plan is carried out without.
    `clock` and `sleep` are those of the time module unless a test drives them.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        verify: bool = True,
        wait: float = 5.0,
        blind: bool = False,
        starved: ReadingStarved | None = None,
        beside: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.backend = backend
        self.verify = verify
        self.wait = wait
        self.blind = blind or starved is not None
        self.starved = starved
        self.beside = beside or {}
        self._clock = clock
        self._sleep = sleep

    def sync(self, desired: Ruleset) -> Applied:
        """Read the tables, compare, and carry out what is to do. `desired` has an ownership."""
        return self.apply(diff(self.read(desired.ownership), desired))

    def read(self, owner: Ownership) -> Ruleset:
        """The tables whole, or as far as others let us read them."""
        if self.starved is None:
            try:
                return self.backend.read()
            except ReadingStarved as error:
                if not self.blind:
                    raise
                self.starved = error
        return self.backend.read_parts(owner)

    def apply(self, plan: Plan) -> Applied:
        """Carry a plan out; an empty plan issues nothing and reads nothing.

        Where the tables are no longer those that the plan was made from, it is made anew, a few
        times. Raises KernelRefused with the line, the Service and the program's words, KernelBusy
        when somebody else keeps the tables busy, or NotConverged when they do not stay as written.
        """
        # Before anything is written: a table that cannot be read again can neither be verified nor
        # be repaired.
        can_be_read_back(plan)
        done = Applied(plan)
        stuck: set[tuple[str, str]] = set()
        until, pause = self._clock() + self.wait, _FIRST_PAUSE
        left = plan
        while left:
            try:
                commits, kept, beside = self._carry_out(left)
            except KernelBusy:
                if self._clock() >= until:
                    raise
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                # The steps before the one that failed are done, and whoever kept the kernel busy
                # has changed the tables: only reading tells what is left.
                left = self._anew(plan, stuck, self.read(plan.ownership))
                continue
            except KernelRefused as error:
                found = self.read(plan.ownership)
                anew = self._anew(plan, stuck, found)
                # The same is to do as before: no change of somebody else's is to blame, so the
                # kernel does not take our rules.
                if done.replanned == _MOST_PLANS or anew.tables == left.tables:
                    raise self._explained(error, left) from error
                left = anew
                done = attrs.evolve(done, replanned=done.replanned + 1, found=done.found or found)
                continue
            stuck |= kept
            done = attrs.evolve(done, commits=done.commits + commits, beside=beside)
            if not self.verify:
                break
            after = self._read_back(plan.ownership)
            left = _as_far_as_read(self._anew(plan, stuck, after), after)
            done = attrs.evolve(done, verified=self.starved is None, after=after)
            if left and done.replanned == _MOST_PLANS:
                raise NotConverged(
                    "the tables, read back, differ from what was written: another program keeps "
                    f"changing them ({', '.join(_names(left))})",
                    difference=left,
                )
            if left:
                done = attrs.evolve(done, replanned=done.replanned + 1)
        stay = tuple(sorted({*stuck, *plan.kept}))
        return attrs.evolve(done, kept=stay, starved=self.starved)

    def _read_back(self, owner: Ownership) -> Ruleset:
        try:
            return self.read(owner)
        except ReadingStarved as error:
            message = f"everything is written, but was not read back: {error}"
            raise ReadingStarved(message, commits=error.commits, seconds=error.seconds) from error

    @staticmethod
    def _anew(plan: Plan, stuck: set[tuple[str, str]], current: Ruleset) -> Plan:
        """What is still to do, without the deletions that are known to be refused."""
        return _without(diff(current, plan.desired, ownership=plan.ownership), stuck)

    def _carry_out(self, plan: Plan) -> tuple[int, set[tuple[str, str]], bool]:
        """Commit the steps.

        Returns how many, the chains that could not be deleted, and whether those of `beside` are
        all written.
        """
        steps = with_chains(steps_of(plan, piece=self.backend.piece), self.beside, _BESIDE)
        together = with_deletions(steps)
        try:
            self.backend.commit(together)
        except KernelRefused as error:
            if error.step == _BESIDE:
                # Those steps come last: what the plan is about is done.
                return len(together), set(), False
            # A deletion is refused where rules of others lead to the chain, and the rest of its
            # step can be done without it. Whatever else is refused would be refused again.
            at = _step_with_deletions(together, error)
            if at is None:
                raise
            return *self._carry_out_apart(steps, at), False
        return len(together), set(), bool(self.beside)

    def _carry_out_apart(
        self, steps: Sequence[Step], start: int
    ) -> tuple[int, set[tuple[str, str]]]:
        """Commit the steps from `start` on, so that a refused deletion takes nothing else back."""
        try:
            self.backend.commit(steps[start:])
        except KernelRefused as error:
            # That is how `steps_of` calls the steps that delete.
            if not error.step.startswith("deletions"):
                raise
            deletions = [step for step in steps if step.delete]
            return len(steps), self._delete_what_can_be(deletions)
        return len(steps), set()

    def _delete_what_can_be(self, deletions: Sequence[Step]) -> set[tuple[str, str]]:
        """Empty the chains, then delete them; halve what is refused until the culprits are left."""
        stuck: set[tuple[str, str]] = set()
        for table in dict.fromkeys(step.table for step in deletions):
            chains = [c for step in deletions if step.table == table for c in step.delete]
            # A chain that rules of others lead to stays, but must not go on serving a Service that
            # is gone. And chains that lead to one another can be deleted in any order once they are
            # empty.
            self.backend.commit(list(emptied(table, chains, self.backend.piece)))
            self._halve(table, chains, stuck)
        return stuck

    def _halve(self, table: str, chains: list[str], stuck: set[tuple[str, str]]) -> None:
        try:
            self.backend.commit([Step(table, f"deletions in {table}", delete=tuple(chains))])
        except KernelRefused:
            if len(chains) == 1:
                stuck.add((table, chains[0]))
                return
            middle = len(chains) // 2
            self._halve(table, chains[:middle], stuck)
            self._halve(table, chains[middle:], stuck)

    def _explained(self, error: KernelRefused, plan: Plan) -> KernelRefused:
        steps = steps_of(plan, piece=self.backend.piece)
        step = next((s for s in steps if (s.table, s.purpose) == (error.table, error.step)), None)
        line = error.line or (explain(self.backend, step) if step is not None else "")
        if not line:
            return error
        group_of = service_groups(plan.desired, plan.before)
        return KernelRefused(
            error.message,
            table=error.table,
            step=error.step,
            line=line,
            service=group_of(error.table, _as_rule(line)),
            code=error.code,
            stderr=error.stderr,
        )


def apply(
    plan: Plan,
    *,
    backend: Backend | str = "auto",
    wait: float = 5.0,
    verify: bool = True,
    blind: bool = False,
) -> Applied:
    """Carry a plan out on this node.

    `backend` is auto, legacy, nft, iptc, or a Backend such as `nptables.testing.FakeKernel`;
    `wait` is how many seconds to wait for others at most; `verify` reads the tables back. With
    `blind` it goes on where others change nft tables faster than they can be read.

    Raises what `Applier.apply` raises, AmbiguousBackend, and BackendUnavailable: without root,
    without what the backend needs, for a backend that does not exist, and for one of another family
    than the plan's.
    """
    if isinstance(backend, str):
        from nptables.kernel.tables.choosing import choose  # noqa: PLC0415 (it may not be needed)

        backend = choose(plan.family, backend, wait=wait, blind=blind).backend
    if backend.family is not plan.family:
        raise BackendUnavailable(
            f"the plan is for {plan.family.value} and the backend for {backend.family.value}"
        )
    return Applier(backend, verify=verify, wait=wait, blind=blind).apply(plan)


def _step_with_deletions(steps: Sequence[Step], error: KernelRefused) -> int | None:
    """Which step was refused, if it is one that deletes chains."""
    for index, step in enumerate(steps):
        if step.delete and (step.table, step.purpose) == (error.table, error.step):
            return index
    return None


def _as_rule(line: str) -> str:
    """A command of restore text as the rule it is about."""
    return line if line.startswith((":", "-A ")) else f"-A{line[2:]}"


def _as_far_as_read(plan: Plan, current: Ruleset) -> Plan:
    """The plan without what it would rewrite only because the present rules are unknown."""
    unread = {name: table.unread for name, table in current.tables.items() if table.unread}
    if not unread:
        return plan
    return _keeping(plan, lambda table, change: change.chain not in unread.get(table, ()))


def _without(plan: Plan, stuck: set[tuple[str, str]]) -> Plan:
    """The plan without the deletions that are known to be refused."""
    if not stuck:
        return plan
    return _keeping(
        plan, lambda table, change: change.after is not None or (table, change.chain) not in stuck
    )


def _keeping(plan: Plan, keep: Callable[[str, ChainChange], bool]) -> Plan:
    """The plan with some of its changes of chains."""
    tables = {
        name: attrs.evolve(
            table, changes={c: change for c, change in table.changes.items() if keep(name, change)}
        )
        for name, table in plan.tables.items()
    }
    return attrs.evolve(plan, tables=tables)


def _names(plan: Plan) -> list[str]:
    """The first few chains that a plan is about."""
    names = [
        f"{table} {chain}"
        for table, changes in plan.tables.items()
        for chain in (*changes.changes, *(i.line.split(" ")[1] for i in changes.insert))
    ]
    return [*names[:5], *(["…"] if len(names) > 5 else [])]
