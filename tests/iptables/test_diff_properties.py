"""Applying the plan from a to b turns a into b, whatever rules of others stand beside it."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from nptables import Family, Ownership, Ruleset, apply
from nptables.iptables.changes import diff, undo
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Table
from nptables.testing import FakeKernel

SHARED = frozenset({"OUR-ALL", "OUR-PORTS"})
OWN = tuple(f"OUR-{number}" for number in range(3))
FOREIGN = ("OUR-STRANGER", "DOCKER", "CNI")
JUMPS = ("-A FORWARD -j OUR-ALL", "-A INPUT -j OUR-ALL", "-A INPUT -j OUR-PORTS")
OWNER = Ownership(
    chains=dict.fromkeys(("nat", "filter"), SHARED),
    patterns={table: re.compile(r"OUR-[0-9]") for table in ("nat", "filter")},
    ensured={"filter": frozenset({"LENT"})},
    jumps={"filter": JUMPS, "nat": JUMPS[1:]},
    unordered=dict.fromkeys(("nat", "filter"), SHARED),
)

matches = st.sampled_from(
    [
        "",
        " -d 10.0.0.1/32 -p tcp -m tcp --dport 80",
        " -d 10.0.0.2/32 -p tcp -m tcp --dport 80",
        " -d 127.0.0.0/8 -p udp -m udp --dport 53",
        " -p udp -m udp --dport 53",
        ' -p tcp -m comment --comment "a/b:c -j OUR-1" -m tcp --dport 443',
    ]
)


@st.composite
def own_chains(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Chains of the owner's: those with numbers lead to larger numbers, shared ones to all."""
    present = draw(st.lists(st.sampled_from(OWN), unique=True))
    chains = {}
    for name in present:
        targets = ["ACCEPT", *(other for other in present if other > name)]
        chains[name] = rules(draw, name, targets)
    for name in sorted(SHARED):
        chains[name] = rules(draw, name, ["DROP", *present])
    return chains


def rules(draw: st.DrawFn, chain: str, targets: list[str]) -> tuple[str, ...]:
    pairs = draw(st.lists(st.tuples(matches, st.sampled_from(targets)), max_size=4))
    return tuple(f"-A {chain}{match} -j {target}" for match, target in pairs)


@st.composite
def owned(draw: st.DrawFn) -> Ruleset:
    tables = {}
    for table in ("nat", "filter"):
        chains = dict.fromkeys(BUILT_IN_CHAINS[table], ()) | draw(own_chains())
        if table == "filter":
            chains["LENT"] = ()
        for chain in chains:
            jumps = [jump for jump in OWNER.jumps[table] if jump.startswith(f"-A {chain} ")]
            chains[chain] += tuple(jumps)
        tables[table] = Table(table, chains, dict.fromkeys(BUILT_IN_CHAINS[table], "ACCEPT"))
    return Ruleset(Family.IPV4, tables, ownership=OWNER)


@st.composite
def on_a_node(draw: st.DrawFn) -> Ruleset:
    """What some owner left, perhaps broken, with rules of others between and beside."""
    tables = {}
    for name, table in draw(owned()).tables.items():
        chains = dict(table.chains)
        if draw(st.booleans()):
            del chains["OUR-ALL"]
            chains = {
                chain: tuple(line for line in lines if not line.endswith("-j OUR-ALL"))
                for chain, lines in chains.items()
            }
        for chain in FOREIGN:
            chains[chain] = rules(draw, chain, ["ACCEPT", "RETURN"])
        if name == "filter":
            chains["LENT"] = rules(draw, "LENT", ["DROP"])
        for chain in BUILT_IN_CHAINS[name]:
            jumps = draw(st.lists(st.sampled_from(chains[chain]))) if chains[chain] else []
            others = rules(draw, chain, ["ACCEPT", *FOREIGN])
            chains[chain] = tuple(draw(st.permutations((*jumps, *others))))
        policies = {c: draw(st.sampled_from(["ACCEPT", "DROP"])) for c in BUILT_IN_CHAINS[name]}
        tables[name] = Table(name, chains, policies)
    return Ruleset(Family.IPV4, tables)


def foreign_part(ruleset: Ruleset) -> dict[tuple[str, str], tuple[str, ...]]:
    """Everything that is not the owner's, and nothing that is."""
    return {
        (name, chain): tuple(line for line in lines if line not in OWNER.jumps[name])
        for name, table in ruleset.tables.items()
        for chain, lines in table.chains.items()
        if not OWNER.owns_chain(name, chain)
    }


def own_part(ruleset: Ruleset) -> dict[tuple[str, str], object]:
    """The owner's chains, shared ones without their order, and which jumps stand how often."""
    found: dict[tuple[str, str], object] = {}
    for name, table in ruleset.tables.items():
        for chain, lines in table.chains.items():
            if chain in SHARED:
                found[name, chain] = sorted(lines)
            elif OWNER.owns_chain(name, chain):
                found[name, chain] = lines
            elif chain in BUILT_IN_CHAINS[name]:
                found[name, chain] = sorted(line for line in lines if line in OWNER.jumps[name])
    return found


@settings(max_examples=60, deadline=None)
@given(current=on_a_node(), desired=owned(), piece=st.sampled_from([None, 1, 2]))
def test_applying_a_plan_gives_what_was_desired_and_leaves_all_else(
    current: Ruleset, desired: Ruleset, piece: int | None
) -> None:
    kernel = FakeKernel(save=current.to_save(), piece=piece)

    apply(diff(current, desired), backend=kernel)

    after = kernel.read()
    others = foreign_part(current)
    others.setdefault(("filter", "LENT"), ())
    assert own_part(after) == own_part(desired)
    assert foreign_part(after) == others
    assert {n: t.policies for n, t in after.tables.items()} == {
        n: t.policies for n, t in current.tables.items()
    }


@settings(max_examples=25, deadline=None)
@given(current=on_a_node(), desired=owned())
def test_no_jump_that_stays_changes_places_with_rules_of_others(
    current: Ruleset, desired: Ruleset
) -> None:
    """Of equal ones the first stays: it decides what packets meet before the rules behind it."""
    kernel = FakeKernel(save=current.to_save())

    apply(diff(current, desired), backend=kernel)

    after = kernel.read()
    for name, table in current.tables.items():
        jumps = OWNER.jumps[name]
        for chain in BUILT_IN_CHAINS[name]:
            before = table.chains[chain]
            first = [
                n for n, line in enumerate(before) if line not in jumps or line not in before[:n]
            ]
            there = [line for line in after.lines(name, chain) if line in before]
            assert there == [before[n] for n in first]


@settings(max_examples=60, deadline=None)
@given(current=on_a_node(), desired=owned())
def test_a_second_apply_issues_nothing(current: Ruleset, desired: Ruleset) -> None:
    kernel = FakeKernel(save=current.to_save())
    apply(diff(kernel.read(), desired), backend=kernel)
    kernel.commits.clear()

    assert diff(kernel.read(), desired).empty
    apply(diff(kernel.read(), desired), backend=kernel)

    assert kernel.commits == []


@settings(max_examples=60, deadline=None)
@given(current=on_a_node(), desired=owned())
def test_taking_back_gives_the_owner_what_was_there(current: Ruleset, desired: Ruleset) -> None:
    kernel = FakeKernel(save=current.to_save())
    plan = diff(current, desired)
    apply(plan, backend=kernel)

    apply(undo(plan, kernel.read()), backend=kernel)

    back, was = own_part(kernel.read()), own_part(current)
    assert {key: value for key, value in back.items() if key[1] not in BUILT_IN_CHAINS[key[0]]} == {
        key: value for key, value in was.items() if key[1] not in BUILT_IN_CHAINS[key[0]]
    }
    assert {key: set(back[key]) for key in was if key[1] in BUILT_IN_CHAINS[key[0]]} == {
        key: set(was[key]) for key in was if key[1] in BUILT_IN_CHAINS[key[0]]
    }


@settings(max_examples=80, deadline=None)
@given(
    current=on_a_node(),
    desired=owned(),
    failing=st.integers(0, 5),
    piece=st.sampled_from([None, 1]),
)
def test_after_a_failure_at_any_commit_the_next_apply_converges(
    current: Ruleset, desired: Ruleset, failing: int, piece: int | None
) -> None:
    kernel = FakeKernel(save=current.to_save(), piece=piece)
    left = [failing]

    def power_cut(_step: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    kernel.before_commit = power_cut
    try:
        apply(diff(current, desired), backend=kernel)
    except KeyboardInterrupt:
        kernel.before_commit = None
        apply(diff(kernel.read(), desired), backend=kernel)

    assert own_part(kernel.read()) == own_part(desired)
