"""Reading nft tables chain by chain, where they cannot be read whole.

Two things keep iptables-nft-save from printing a table: a native nft rule in one of its chains
that iptables has no words for, and others who commit faster than it reads. A single chain can be
read all the same, and the kernel lists the names of all chains.

Of a built-in chain that cannot be printed, nft still says where each rule leads, and
`iptables-nft -C` whether a jump of ours is there. So its lines are the jumps that are known, and a
line without a target for every other rule, which keeps the places right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from nptables.errors import BackendUnavailable, KernelRefused, SaveSyntaxError, printable
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset, Table
from nptables.iptables.changes import Plan
from nptables.iptables.ruleset import BUILT_IN_CHAINS, chain_of, target_of
from nptables.iptables.words import split
from nptables.kernel.programs import Completed, Runner, find_program
from nptables.kernel.tables.chain_names import Names, chain_names
from nptables.kernel.tables.xtables import Kind, cannot_be_printed, classify, command

# So many chains of a table that cannot be printed are read one by one, at some 5 ms each.
MOST_CHAINS = 500

# Seconds for a program that looks at one chain, or at the names of all.
_SECONDS = 60.0
_UNPRINTABLE = "a rule that iptables cannot print"


class Tables(Protocol):
    """What is needed of a backend to look at one of its chains."""

    @property
    def kind(self) -> Kind:
        """`legacy` or `nft`."""
        ...

    @property
    def family(self) -> Family:
        """The address family of the tables."""
        ...

    @property
    def wait(self) -> float:
        """Seconds to wait for the xtables lock."""
        ...

    @property
    def run(self) -> Runner:
        """What starts programs."""
        ...


def table_names(backend: Tables) -> tuple[str, ...]:
    """The tables that iptables knows and that are there. Raises BackendUnavailable."""
    names = _names(backend)
    return tuple(table for table in BUILT_IN_CHAINS if table in names)


def owned_parts(backend: Tables, owner: Ownership) -> Ruleset:
    """The chains of fixed names that an owner keeps or jumps from, and the names of all others.

    Raises BackendUnavailable where the chains cannot be listed, or where one of them cannot be
    printed and there is no nft program; else KernelRefused or KernelBusy.
    """
    names = _names(backend)
    tables = {}
    for table in owner.tables:
        there = names.get(table)
        if there is None:
            continue
        wanted = {
            *owner.chains.get(table, ()),
            *owner.ensured.get(table, ()),
            *owner.joint.get(table, ()),
            *map(chain_of, owner.jumps.get(table, ())),
        }
        tables[table] = _table(backend, table, there, wanted, owner)
    return Ruleset(backend.family, tables)


def unprintable_table(backend: Tables, table: str, owner: Ownership) -> Table:
    """A table that the save program does not print, read chain by chain.

    Raises KernelRefused where it has too many chains for that, BackendUnavailable without the nft
    program, or KernelBusy.
    """
    there = _names(backend).get(table, {})
    if len(there) > MOST_CHAINS:
        raise KernelRefused(
            f"the {table} table cannot be read, so nothing is written: "
            f"{where_unprintable(backend, table)}, and {len(there)} chains are too many to be read "
            "one by one; move the rule to an nft table of its own",
            table=table,
        )
    return _table(backend, table, there, set(there), owner)


def can_be_read_back(plan: Plan) -> None:
    """Make sure that what a plan leaves in a table that cannot be printed can be read again.

    Raises KernelRefused.
    """
    for table in plan.before.remarks.unreadable:
        before, changes = plan.before.tables.get(table), plan.tables.get(table)
        if before is None or changes is None:
            continue
        count = len(before.chains) + len(before.unread) + len(changes.create)
        if count > MOST_CHAINS:
            raise KernelRefused(
                f"the {table} table holds a native nft rule that iptables cannot print, and with "
                f"{count} chains it could not be read back, so nothing is written: move the rule "
                "to an nft table of its own",
                table=table,
            )


def where_unprintable(backend: Tables, table: str) -> str:
    """Which chain of a table holds what iptables cannot print, and how to see it, in words."""
    built_in = BUILT_IN_CHAINS.get(table, ())
    names = sorted(_names(backend).get(table, {}), key=lambda chain: chain not in built_in)
    for chain in names[:MOST_CHAINS]:
        if _lines(backend, table, chain) is None:
            family, shown = _nft_family(backend.family), printable(chain)
            return (
                f"its chain {shown} holds a native nft rule that iptables cannot print (see it "
                f"with `nft -a list chain {family} {table} {shown}`)"
            )
    return "it holds a native nft rule that iptables cannot print"


def unprintable(backend: Tables, current: Ruleset) -> list[str]:
    """Sentences about tables that iptables cannot print, and how they were read all the same."""
    return [
        f"the {table} table cannot be read as a whole: {where_unprintable(backend, table)}; it was "
        "read chain by chain, and our jumps were looked for with nft"
        for table in current.remarks.unreadable
        if table in current.tables
    ]


def listed_chain(backend: Tables, table: str, chain: str, owner: Ownership) -> tuple[str, ...]:
    """The lines of one chain; none where it is not there.

    Of one that cannot be printed, those that `owner` has in it, as far as they can be told.
    """
    lines = _lines(backend, table, chain)
    if lines is None and chain in BUILT_IN_CHAINS.get(table, ()):
        lines = tuple(_known_lines(backend, table, chain, owner))
    return lines or ()


def remove_jumps(backend: Tables, table: str, lines: Sequence[str]) -> None:
    """Delete jumps from built-in chains by their handles, of equal ones the last.

    Raises KernelRefused or KernelBusy.
    """
    family = _nft_family(backend.family)
    commands = []
    for chain in dict.fromkeys(map(chain_of, lines)):
        targets = [target_of(line) for line in lines if chain_of(line) == chain]
        # From the end: of equal jumps the first stays, since its place decides what packets meet
        # before it.
        for rule in reversed(list(_rules(backend, table, chain))):
            if _leads_to(rule) in targets:
                targets.remove(_leads_to(rule))
                commands.append(f"delete rule {family} {table} {chain} handle {rule['handle']}")
    if commands:
        _nft(backend, "; ".join(commands))


def _table(
    backend: Tables,
    table: str,
    there: Mapping[str, str | None],
    wanted: Iterable[str],
    owner: Ownership,
) -> Table:
    chains: dict[str, tuple[str, ...]] = {}
    built_in = BUILT_IN_CHAINS.get(table, ())
    for chain in there:
        if chain not in wanted:
            continue
        lines = _lines(backend, table, chain)
        if lines is None and chain in built_in:
            lines = tuple(_known_lines(backend, table, chain, owner))
        if lines is not None:
            chains[chain] = lines
    policies = {c: policy for c, policy in there.items() if policy is not None and c in built_in}
    unread = frozenset(there.keys() - chains.keys())
    return Table(table, chains, policies, unread=unread)


def _names(backend: Tables) -> Names:
    return chain_names(backend.family, backend.run)


def _lines(backend: Tables, table: str, chain: str) -> tuple[str, ...] | None:
    """The rules of a chain; empty where it is not there, None where they cannot be printed.

    iptables-nft says of a chain that is not there that it cannot be printed.
    """
    done = _iptables(backend, table, "-S", chain)
    if done.code:
        if cannot_be_printed(done.stderr):
            return None
        error = classify(done, backend.kind, backend.wait, f"looking at {chain} of {table}")
        # Exit code 1: there is no such chain, which is an answer.
        if not isinstance(error, KernelRefused):
            raise error
        return ()
    # The first line declares the chain (-N or -P), which a dump writes in another way.
    text = "".join(done.stdout.splitlines(keepends=True)[1:])
    try:
        read = Ruleset.from_save(f"*{table}\n:{chain} -\n{text}COMMIT\n", family=backend.family)
    except SaveSyntaxError:
        return None
    return read.lines(table, chain)


def _known_lines(backend: Tables, table: str, chain: str, owner: Ownership) -> Iterator[str]:
    """A line for each rule of a built-in chain: the owner's jump, or one that does nothing."""
    jumps = [line for line in owner.jumps.get(table, ()) if chain_of(line) == chain]
    there = {target_of(line): line for line in jumps if _has(backend, table, line)}
    for rule in _rules(backend, table, chain):
        unknown = f'-A {chain} -m comment --comment "{_UNPRINTABLE}"'
        yield there.get(_leads_to(rule), unknown)


def _rules(backend: Tables, table: str, chain: str) -> Iterator[Mapping[str, Any]]:
    """The rules of a chain as nft has them, in their order; none where it is not there."""
    for entry in _nft(backend, f"list chain {_nft_family(backend.family)} {table} {chain}"):
        rule = entry.get("rule")
        if isinstance(rule, dict):
            yield rule


def _has(backend: Tables, table: str, line: str) -> bool:
    """Whether a chain holds exactly this rule; also where a rule before it hinders the answer."""
    done = _iptables(backend, table, "-C", *split(line)[1:])
    return done.code == 0 or cannot_be_printed(done.stderr)


def _iptables(backend: Tables, table: str, *words: str) -> Completed:
    """Run one command about a table."""
    wait = str(max(1, int(backend.wait)))
    argv = [*command(backend.kind, backend.family), "-w", wait, "-t", table, *words]
    return backend.run(argv, "", _SECONDS)


def _leads_to(rule: Mapping[str, Any]) -> str:
    """The chain that a rule jumps or goes to, or an empty string."""
    for expression in rule.get("expr", []):
        for verdict in ("jump", "goto"):
            if isinstance(expression, dict) and verdict in expression:
                return str(expression[verdict].get("target"))
    return ""


def _nft_family(family: Family) -> str:
    return "ip" if family is Family.IPV4 else "ip6"


def _nft(backend: Tables, words: str) -> list[dict[str, Any]]:
    found = find_program("nft")
    if found is None:
        raise BackendUnavailable(
            "the tables cannot be read whole, and to read them chain by chain the program nft is "
            "needed: install it (Debian: nftables)"
        )
    done = backend.run([found, "-j", words], "", _SECONDS)
    # ENOENT of the kernel: somebody deleted the chain after it was listed. The words are English
    # because programs run with LC_ALL=C.
    if done.code and "No such file" in done.stderr:
        return []
    if done.code:
        raise classify(done, backend.kind, backend.wait, "listing chains")
    try:
        listed = json.loads(done.stdout or "{}").get("nftables", [])
    except (json.JSONDecodeError, AttributeError) as error:
        raise KernelRefused(f"nft printed invalid JSON: {error}") from error
    return [entry for entry in listed if isinstance(entry, dict)]
