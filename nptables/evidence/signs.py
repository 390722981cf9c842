"""What evidence shows of the programs on a node: the names that each of them leaves there.

Everything here is a name that a program gives to what it makes: chains, ipsets, nft tables,
interfaces, processes. What follows from them is decided in `handlers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from nptables.evidence.kubeproxy import configuration_of
from nptables.evidence.node import Evidence, Process
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.translation import chains

_FROM_HOOK = re.compile(rf"-A (?:PREROUTING|OUTPUT) .*-j {chains.SERVICES}$")
# An interface that a rule asks for; `eth+` stands for many and names none.
_INTERFACE = re.compile(r" -[io] ([^\s+]+)(?= )")
# Chains that lead to a service port: those of today, and the one that KUBE-EXT- was before 1.24.
OF_SERVICE_PORTS = re.compile(r"KUBE-(?:SVC|SVL|EXT|FW|XLB)-[A-Z2-7]{16}")
_TO_SERVICE_PORT = re.compile(rf" -[jg] (?:{OF_SERVICE_PORTS.pattern}|{chains.NODEPORTS})$")
# What only mode ipvs writes into KUBE-SERVICES: sets instead of addresses, and chains of its own.
_OF_IPVS = re.compile(
    r" --match-set KUBE-(?:6-)?(?:CLUSTER-IP|EXTERNAL-IP|LOAD-BALANCER|NODE-PORT)\b"
    r"| -j KUBE-(?:NODE-PORT|LOAD-BALANCER)$"
)
_LOOPBACK = "lo"


@frozen
class Signs:
    """Names of what was found on a node; None for what nobody looked at.

    `chains` are those with a table before them (`nat KUBE-SERVICES`). Of `interfaces` those with
    an address are in `addressed`. `tables` are native nft tables, such as `ip kube-proxy`.
    `servers` tells whether the kernel's IPVS has virtual servers. `whole` tells that all of table
    nat was read.
    """

    rulesets: tuple[Ruleset, ...] = ()
    whole: bool = False
    fragment: bool = False
    interfaces: frozenset[str] | None = None
    addressed: frozenset[str] = frozenset()
    sets: frozenset[str] | None = None
    tables: frozenset[str] | None = None
    processes: tuple[Process, ...] | None = None
    servers: bool | None = None

    @staticmethod
    def of(evidence: Evidence) -> Signs:
        """What evidence has of them."""
        listed = None if evidence.facts is None else evidence.facts.interfaces
        fragment = evidence.is_fragment or any(map(_is_cut, evidence.rulesets))
        return Signs(
            rulesets=evidence.rulesets,
            whole=not fragment and _is_whole(evidence.rulesets),
            fragment=fragment,
            interfaces=None if listed is None else frozenset(listed),
            addressed=frozenset(name for name, found in (listed or {}).items() if found),
            sets=None if evidence.ipset is None else frozenset(_created(evidence.ipset)),
            tables=None if evidence.native is None else frozenset(_tables(evidence.native)),
            processes=evidence.processes,
        )

    def chains(self, beginning: str | tuple[str, ...]) -> list[str]:
        """The chains whose names begin so, with their tables; those of legacy and nft are one."""
        return list(
            dict.fromkeys(
                f"{table.name} {name}"
                for ruleset in self.rulesets
                for table in ruleset.tables.values()
                for name in table.chains
                if name.startswith(beginning)
            )
        )

    def lines_with(self, text: str, beginning: str) -> Iterator[str]:
        """The rules with a text in the chains whose names begin so."""
        for ruleset in self.rulesets:
            for table in ruleset.tables.values():
                for name, lines in table.chains.items():
                    if name.startswith(beginning):
                        yield from (line for line in lines if text in line)

    def has_interface(self, *names: str) -> list[str]:
        """Which of some interfaces the node has, or its rules speak of."""
        there = self.interfaces or frozenset()
        if _LOOPBACK not in there:
            # Who lists `lo` lists all; a list by hand has the addresses that matter.
            there |= self._in_rules()
        return [name for name in names if name in there]

    def _in_rules(self) -> frozenset[str]:
        return frozenset(
            name
            for ruleset in self.rulesets
            for table in ruleset.tables.values()
            for chain, lines in table.chains.items()
            # kube-proxy's own chains are by far the most, and name bridges of Pods at best.
            if not chain.startswith("KUBE-")
            for line in lines
            for name in _INTERFACE.findall(line)
        )

    def has_set(self, beginning: str) -> list[str]:
        """The ipsets whose names begin so."""
        return sorted(name for name in self.sets or () if name.startswith(beginning))

    def runs(self, *names: str) -> list[Process]:
        """The processes of some names."""
        return [process for process in self.processes or () if process.name in names]

    @property
    def of_service_ports(self) -> bool:
        """Whether a packet can come from KUBE-SERVICES, which a hook leads to, to service ports."""
        return any(_portal_has(each, _TO_SERVICE_PORT) for each in self._portals())

    @property
    def of_ipvs(self) -> bool:
        """Whether KUBE-SERVICES, which a hook leads to, is written as mode ipvs writes it."""
        return any(_portal_has(each, _OF_IPVS) for each in self._portals())

    @property
    def has_portal(self) -> bool:
        """Whether a hook leads to KUBE-SERVICES, whatever is in it."""
        return any(map(_hooked, self.rulesets))

    def _portals(self) -> Iterator[Ruleset]:
        """The rulesets whose KUBE-SERVICES is in use; a fragment need not say what leads there."""
        return (each for each in self.rulesets if self.fragment or _hooked(each))


def _is_cut(ruleset: Ruleset) -> bool:
    """Whether table nat lacks what every one has: then somebody took lines out of it."""
    nat = ruleset.tables.get("nat")
    return nat is not None and "PREROUTING" not in nat.chains


def _is_whole(rulesets: Iterable[Ruleset]) -> bool:
    some = tuple(rulesets)
    return any("nat" in each.tables for each in some) and not any(
        each.remarks.legacy_left_out for each in some
    )


def _hooked(ruleset: Ruleset) -> bool:
    return any(
        _FROM_HOOK.match(line)
        for hook in ("PREROUTING", "OUTPUT")
        for line in ruleset.lines("nat", hook)
    )


def _portal_has(ruleset: Ruleset, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(line) for line in ruleset.lines("nat", chains.SERVICES))


def _created(text: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) > 1 and words[0] in ("create", "-N"):
            yield words[1]


def _tables(native: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """The tables that objects of `nft -j list ruleset` belong to."""
    for entry in native:
        for kind, found in entry.items():
            if isinstance(found, Mapping):
                name = found.get("name") if kind == "table" else found.get("table")
                if name and found.get("family"):
                    yield f"{found['family']} {name}"


def mode_of(process: Process) -> str:
    """The mode of a kube-proxy: what it says, else what it was told; iptables where it was not.

    An empty string where a file tells it that nobody has read, and where only a log was seen that
    does not say it.
    """
    if process.mode:
        return process.mode
    only_logged = process.version and not process.pid and not process.arguments
    runs_with = configuration_of(process)
    if runs_with is None or (only_logged and process.configuration is None):
        return ""
    told = runs_with.get("mode")
    return told if isinstance(told, str) and told else "iptables"
