"""Text that is safe to feed to `iptables-restore --noflush`, once or ten times.

Such a text declares the owner's chains only, which are emptied and filled again. A line
`:FORWARD ACCEPT` would set the policy of a built-in chain, and a jump from one would be there
twice after the second time, so both stay out: the jumps are shell commands in comments, or,
where the current state is known, just those that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.ruleset import NO_COUNTERS, chain_of
from nptables.translation import Translation

_PROGRAM = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}


def restore_text(translation: Translation, current: Ruleset | None = None) -> str:
    """The rules of a translation as input for `iptables-restore --noflush`.

    Without `current` the jumps from built-in chains, and chains that only have to exist, are
    commented shell commands that may be run any number of times. With `current`, the ruleset
    of the node as it is, the text holds what is missing there; it is then to be fed once.
    """
    ownership = translation.ownership
    lines: list[str] = []
    if current is not None:
        lines.append("# Relative to one state of one node: feed it once, then render it anew.")
    for name, table in translation.tables.items():
        own = [chain for chain in table.chains if ownership.owns_chain(name, chain)]
        lines.append(f"*{name}")
        lines.extend(f":{chain} - {NO_COUNTERS}" for chain in own)
        if current is not None:
            lines.extend(_missing(name, ownership, current))
        for chain in own:
            lines.extend(table.chains[chain])
        lines.append("COMMIT")
    if current is None:
        lines.extend(_commands(translation))
    lines.append("")
    return "\n".join(lines)


def _missing(table: str, ownership: Ownership, current: Ruleset) -> Iterator[str]:
    """Declarations of missing chains and insertions of missing jumps.

    Insertions land in reverse, each before the one that was inserted before it.
    """
    for chain in sorted(ownership.ensured.get(table, ())):
        if table not in current.tables or chain not in current.tables[table].chains:
            yield f":{chain} - {NO_COUNTERS}"
    for jump in reversed(ownership.jumps.get(table, ())):
        if jump not in current.lines(table, chain_of(jump)):
            yield jump.replace("-A ", "-I ", 1)


def _commands(translation: Translation) -> Iterator[str]:
    ownership, program = translation.ownership, _PROGRAM[translation.family]
    yield "# The jumps from built-in chains, once the above is in place; to run these commands:"
    yield f"#   sed -n 's/^# {program}/{program}/p' THIS_FILE | sh"
    for table in translation.tables:
        start = f"# {program} -w -t {table}"
        for chain in sorted(ownership.ensured.get(table, ())):
            yield f"{start} -n -L {chain} >/dev/null 2>&1 || {start[2:]} -N {chain}"
        for jump in reversed(ownership.jumps.get(table, ())):
            rule = jump.removeprefix("-A ")
            yield f"{start} -C {rule} 2>/dev/null || {start[2:]} -I {rule}"
