"""Random rulesets for every table and hook, as iptables-restore takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.iptables.ruleset import BUILT_IN_CHAINS
from tests.lab.walks.matches import PROTOCOLS, Chooser, Spot, base, matches
from tests.lab.walks.targets import target

if TYPE_CHECKING:
    from random import Random

    from nptables.family import Family

TABLES = ("raw", "mangle", "nat", "filter")
_USER_CHAINS = 3
# What each bit of a mark, and the state of the connection, came to: counted at the end of a hook.
_LAST_WORDS = (
    "-m mark --mark 0x1/0x1",
    "-m mark --mark 0x2/0x2",
    "-m mark --mark 0x4000/0x4000",
    "-m connmark --mark 0x1/0x1",
    "-m connmark --mark 0x4000/0x4000",
    "-m conntrack --ctstate NEW",
    "-m conntrack --ctstate DNAT",
    "-m conntrack --ctstate SNAT",
)


def ruleset(rng: Random, family: Family, *, unsure: bool) -> str:
    """The text of a ruleset; `unsure` puts in a few rules that the tracer can only ask about."""
    choose = Chooser(rng, family)
    templates = choose.maybe(0.5)
    tables = [name for name in TABLES if choose.maybe(0.75)]
    writer = _Writer(choose, templates=templates, unsure=2 if unsure else 0)
    return "".join(writer.table(name) for name in tables)


class _Writer:
    """Writes the tables of one ruleset."""

    def __init__(self, choose: Chooser, *, templates: bool, unsure: int) -> None:
        self._choose = choose
        self._templates = templates
        self._unsure = unsure
        self._count = 0

    def table(self, name: str) -> str:
        """A table."""
        choose = self._choose
        hooks = BUILT_IN_CHAINS[name]
        lines = [f"*{name}"]
        for hook in hooks:
            drops = name != "nat" and choose.maybe(0.06)
            lines.append(f":{hook} {'DROP' if drops else 'ACCEPT'} [0:0]")
        # What nat does depends on the hook, so that no chain is reached from two of them.
        own = {
            hook: tuple(f"{hook[:4]}-{number}" for number in range(_USER_CHAINS)) for hook in hooks
        }
        shared = tuple(f"ANY-{number}" for number in range(_USER_CHAINS)) if name != "nat" else ()
        lines += [f":{chain} - [0:0]" for chains in own.values() for chain in chains]
        lines += [f":{chain} - [0:0]" for chain in shared]
        for hook in hooks:
            lines += self._chain(name, (hook,), hook, (*own[hook], *shared), built_in=True)
            for position, chain in enumerate(own[hook]):
                further = (*own[hook][position + 1 :], *shared)
                lines += self._chain(name, (hook,), chain, further, built_in=False)
        for position, chain in enumerate(shared):
            lines += self._chain(name, hooks, chain, shared[position + 1 :], built_in=False)
        return "\n".join([*lines, "COMMIT", ""])

    def _chain(
        self, table: str, hooks: tuple[str, ...], chain: str, further: tuple[str, ...], *,
        built_in: bool,
    ) -> list[str]:  # fmt: skip
        count = self._choose.rng.randint(0, 5 if built_in else 3)
        lines = [self._rule(table, hooks, chain, further, built_in=built_in) for _ in range(count)]
        if built_in:
            lines += [
                f"-A {chain} {words} {self._name()} -j MARK --set-xmark 0x0/0x0"
                for words in _LAST_WORDS
                if self._choose.maybe(0.3)
            ]
        return lines

    def _rule(
        self, table: str, hooks: tuple[str, ...], chain: str, further: tuple[str, ...], *,
        built_in: bool,
    ) -> str:  # fmt: skip
        choose = self._choose
        protocol = ""
        if choose.maybe(0.5):
            protocol = choose.rng.choice(PROTOCOLS[choose.family])
        spot = Spot(choose.family, table, hooks, built_in, protocol)
        unsure = self._unsure > 0 and choose.maybe(0.1)
        self._unsure -= unsure
        words = [f"-A {chain}", *base(choose, spot), *matches(choose, spot, unsure=unsure)]
        words += [self._name(), target(choose, spot, further, templates=self._templates)]
        return " ".join(word for word in words if word)

    def _name(self) -> str:
        """A comment that no other rule has, so that its counter is found again."""
        self._count += 1
        return f"-m comment --comment r{self._count}"
