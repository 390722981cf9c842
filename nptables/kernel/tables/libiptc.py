"""python-iptables (libiptc): the legacy tables changed in this process.

The package is imported only when this backend is asked for, since importing it searches the machine
for shared libraries. libiptc takes no lock: /run/xtables.lock is held here from reading a table to
committing it. A line is put into an entry by the same extensions that iptables-restore uses, one
option after the other.

libxtables registers an extension for the family that loads it first and for no other, so a process
can serve one family. The second family of a process is served by another one: this module run as a
program, which reads steps as JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from nptables.errors import (
    BackendUnavailable,
    KernelBusy,
    KernelError,
    KernelRefused,
    RuleSyntaxError,
)
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import Insertion, Step
from nptables.iptables.rule import Match, Rule, Target
from nptables.iptables.ruleset import chain_of
from nptables.kernel.programs import Runner, run_program
from nptables.kernel.tables.locks import apply_lock, xtables_lock
from nptables.kernel.tables.restoring import DEFAULT_WAIT, RestoreBackend

# XT_EXTENSION_MAXNAMELEN of linux/netfilter/x_tables.h is 29, with the NUL at the end.
_LONGEST_CHAIN_NAME = 28
# A commit that another program's commit came before is refused with this word.
# It is EAGAIN of xt_replace_table in net/netfilter/x_tables.c, which compares no more than the
# number of rules: without the lock other changes would be lost unnoticed.
_MOVED = "Resource temporarily unavailable"


@frozen
class LibiptcBackend:
    """The legacy tables by libiptc; made with `load`. `wait` is seconds for the xtables lock."""

    family: Family
    wait: float
    _iptc: Any = attrs.field(repr=False)
    _reader: RestoreBackend = attrs.field(repr=False)
    name: str = "iptc"
    piece: int | None = None

    @classmethod
    def load(
        cls, family: Family, *, wait: float = DEFAULT_WAIT, run: Runner = run_program
    ) -> LibiptcBackend:
        """The backend; raises BackendUnavailable where the package or its libraries are missing."""
        return cls(family, wait, _import_iptc(), RestoreBackend("legacy", family, wait, run))

    @property
    def run(self) -> Runner:
        """What starts programs."""
        return self._reader.run

    def read(self) -> Ruleset:
        """The legacy tables as iptables-legacy-save prints them."""
        return self._reader.read()

    def read_parts(self, owner: Ownership) -> Ruleset:
        """The same: legacy tables can always be read whole."""
        return self._reader.read_parts(owner)

    def commit(self, steps: Sequence[Step]) -> None:
        """Each step is one commit of libiptc, under the lock."""
        served = _SERVED.setdefault("family", self.family)
        if served is not self.family:
            _commit_elsewhere(self, steps)
            return
        for step in steps:
            # In this order, which is that of iptables-restore under our lock too: no two can wait
            # for each other.
            with apply_lock(self.wait), xtables_lock(self.wait):
                self._commit(step)

    def _commit(self, step: Step) -> None:
        table = self._open(step)
        try:
            _Change(self._iptc, self.family, table, step).carry_out()
            table.commit()
        except self._iptc.IPTCError as error:
            said = _words(error)
            if _MOVED in said:
                raise KernelBusy(f"{step.purpose}: the kernel was busy; try again") from error
            raise KernelRefused(said, table=step.table, step=step.purpose, stderr=said) from error
        finally:
            # The next commit starts from what the kernel holds then, not from what this one knew.
            table.close()

    def _open(self, step: Step) -> Any:
        kind = self._iptc.Table if self.family is Family.IPV4 else self._iptc.Table6
        try:
            table = kind(step.table, autocommit=False)
            table.refresh()
        except self._iptc.IPTCError as error:
            raise BackendUnavailable(
                f"the legacy table {step.table} cannot be opened (it needs root, and support in "
                f"the kernel): {_words(error)}"
            ) from error
        return table


# The family that this process serves: see the top of the module.
_SERVED: dict[str, Family] = {}


def _commit_elsewhere(backend: LibiptcBackend, steps: Sequence[Step]) -> None:
    """Commit in a process of its own; raises what it raised."""
    order = {
        "family": backend.family.value,
        "wait": backend.wait,
        "steps": [attrs.asdict(step) for step in steps],
    }
    argv = [sys.executable, "-m", __name__]
    done = backend.run(argv, json.dumps(order), backend.wait + 600)
    if done.code:
        raise BackendUnavailable(f"python-iptables failed in a process of its own: {done.stderr}")
    outcome = json.loads(done.stdout)
    if outcome:
        kind, message, details = outcome
        raise _ERRORS[kind](message, **details)


_ERRORS: dict[str, Callable[..., KernelError]] = {
    "KernelRefused": KernelRefused,
    "KernelBusy": KernelBusy,
    "BackendUnavailable": BackendUnavailable,
}


def _outcome(error: KernelError) -> list[Any]:
    """An error as JSON; see `_commit_elsewhere`."""
    if isinstance(error, KernelRefused):
        names = ("table", "step", "line", "code", "stderr")
        details = {name: getattr(error, name) for name in names}
        return ["KernelRefused", error.message, details]
    if isinstance(error, KernelBusy):
        return ["KernelBusy", str(error), {"holder": error.holder}]
    return ["BackendUnavailable", str(error), {}]


def _serve() -> None:
    """Carry out the order on standard input, and say what came of it on standard output."""
    order = json.load(sys.stdin)
    steps = [
        Step(
            given["table"],
            given["purpose"],
            {chain: tuple(lines) for chain, lines in given["fill"].items()},
            tuple(Insertion(**insertion) for insertion in given["insert"]),
            tuple(given["remove"]),
            tuple(given["delete"]),
            tuple(Insertion(**insertion) for insertion in given["reinsert"]),
        )
        for given in order["steps"]
    ]
    outcome: list[Any] = []
    try:
        LibiptcBackend.load(Family(order["family"]), wait=order["wait"]).commit(steps)
    except KernelError as error:
        outcome = _outcome(error)
    json.dump(outcome, sys.stdout)


class _Change:
    """One step on an open table."""

    def __init__(self, iptc: Any, family: Family, table: Any, step: Step) -> None:
        self.iptc = iptc
        self.family = family
        self.table = table
        self.step = step
        self.rule_type = _rule_type(iptc, family, table)

    def carry_out(self) -> None:
        """In the order in which restore text has it; chains first, so that jumps find them."""
        for chain in sorted({*self.step.fill, *self.step.delete}):
            if len(chain) > _LONGEST_CHAIN_NAME:
                raise self._refused("the name of the chain is too long", f":{chain} -")
            if self.table.is_chain(chain):
                self.table.flush_entries(chain)
            else:
                self.table.create_chain(chain)
        table = self.table
        for chain in sorted(self.step.fill):
            for line in self.step.fill[chain]:
                self._do(line, table.append_entry, chain, self._entry(line).rule)
        self._insert(self.step.insert)
        for line in self.step.remove:
            entry = self._entry(line)
            self._do(line, table.delete_entry, chain_of(line), entry.rule, entry.mask)
        self._insert(self.step.reinsert)
        for chain in sorted(self.step.delete):
            self._do(f"-X {chain}", table.delete_chain, chain)

    def _insert(self, insertions: Sequence[Insertion]) -> None:
        for insertion in insertions:
            rule = self._entry(insertion.line).rule
            chain = chain_of(insertion.line)
            # libiptc counts from 0, iptables from 1.
            place = insertion.position - 1
            self._do(insertion.line, self.table.insert_entry, chain, rule, place)

    def _do(self, line: str, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except self.iptc.IPTCError as error:
            raise self._refused(_words(error), line) from error

    def _refused(self, message: str, line: str) -> KernelRefused:
        return KernelRefused(
            message, table=self.step.table, step=self.step.purpose, line=line, stderr=message
        )

    def _entry(self, line: str) -> Any:
        """The line as an entry of the kernel's."""
        try:
            return self._build(Rule.parse(line, self.family))
        except (self.iptc.IPTCError, self.iptc.XTablesError, RuleSyntaxError, ValueError) as error:
            raise self._refused(_words(error), line) from error
        except (AttributeError, TypeError) as error:
            # What python-iptables raises for an option that an extension does not have.
            raise self._refused(f"python-iptables cannot make this rule: {error}", line) from error

    def _build(self, parsed: Rule) -> Any:
        if parsed.unknown:
            raise ValueError("python-iptables cannot make a rule with options that are not known")
        rule = self.rule_type()
        for option, attribute in (
            (parsed.source, "src"),
            (parsed.destination, "dst"),
            (parsed.in_interface, "in_interface"),
            (parsed.out_interface, "out_interface"),
            (parsed.protocol, "protocol"),
        ):
            if option is not None:
                setattr(rule, attribute, f"{'!' if option.negated else ''}{option.value}")
        if parsed.fragment is not None:
            raise ValueError("python-iptables cannot make a rule for fragments here")
        for match in parsed.matches:
            self._finish(rule.create_match(match.name), match)
        target = parsed.target or Target("")
        self._finish(rule.create_target(target.name, goto=target.goto), target)
        return rule

    @staticmethod
    def _finish(extension: Any, spec: Match | Target) -> None:
        """Give an extension its options, and let it check them.

        python-iptables' own final check saves every extension through a pipe and reads it again,
        which loses long comments and takes most of the time.
        """
        for option in spec.options:
            words = [option.name.lstrip("-"), *option.values]
            argv = (ctypes.c_char_p * (len(words) + (len(words) == 1)))()
            for index, word in enumerate(words):
                argv[index] = word.encode("utf-8", "surrogateescape")
            entry = ctypes.pointer(extension.rule.entry)
            extension._parse(argv, ctypes.c_int(int(option.negated)), entry)  # noqa: SLF001
        extension._final_check()  # noqa: SLF001


def _rule_type(iptc: Any, family: Family, table: Any) -> Any:
    """The rule class of a family that looks for chains in one table only.

    python-iptables looks in all tables, which creates every one of them.
    """
    base = iptc.Rule if family is Family.IPV4 else iptc.Rule6
    return type("OneTableRule", (base,), {"tables": property(lambda _: [table])})


def _import_iptc() -> Any:
    try:
        import iptc  # noqa: PLC0415 (an extra, and importing it searches for libraries)
        from iptc.xtables import XTablesError  # noqa: PLC0415
    except ImportError:
        raise BackendUnavailable(
            "python-iptables is not installed: install nptables[iptc] (needs a C compiler), or use "
            "--backend legacy"
        ) from None
    except Exception as error:
        # Whatever goes wrong in it is about the shared libraries of iptables.
        raise BackendUnavailable(
            "python-iptables cannot be loaded: it does not find the libraries of iptables "
            f"(libip4tc, libxtables): {error}"
        ) from error
    iptc.XTablesError = XTablesError
    return iptc


def _words(error: Exception) -> str:
    """The text of an error of python-iptables, which quotes bytes as Python does."""
    return str(error).replace("b'", "'").replace("'", "")


if __name__ == "__main__":
    _serve()
