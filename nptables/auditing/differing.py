"""Where a node's rules differ from the expected ones, Service by Service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property

import attrs

from nptables.iptables import Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.parts import TablePlan
from nptables.translation import Translation, chains
from nptables.translation.explanation.grouping import service_of
from nptables.translation.service_port import probability

_JUMP = " -j "
_ENDPOINT = f" -j {chains.ENDPOINT_PREFIX}"
_CHOOSING = (chains.SERVICE_PREFIX, chains.LOCAL_PREFIX)


class Kind(Enum):
    """How a Service differs: as it may have been once, or as it never was."""

    MISSING = "missing"
    STALE = "stale"
    OLDER = "older"
    DAMAGED = "damaged"


@attrs.frozen(slots=False)
class Differing:
    """The differences of one family, by the Services that they belong to.

    `services` has the chains of each (`namespace/name`), `fixed` what belongs to none: chains and
    jumps, with their table.
    """

    plan: Plan
    desired: Translation
    services: Mapping[str, tuple[str, ...]]
    fixed: tuple[str, ...]

    @staticmethod
    def between(current: Ruleset, desired: Translation) -> Differing:
        """What the rules of a node have otherwise than they should."""
        plan = diff(current, desired, ownership=desired.ownership)
        services: dict[str, dict[str, None]] = {}
        fixed: list[str] = []
        for name, table in plan.tables.items():
            for place, service in _places(desired, name, table):
                if service:
                    services.setdefault(service, {})[place] = None
                else:
                    fixed.append(f"{name} {place}")
        found = {service: tuple(places) for service, places in sorted(services.items())}
        return Differing(plan, desired, found, tuple(dict.fromkeys(fixed)))

    def without(self, services: Iterable[str]) -> Differing:
        """Without the differences of some Services."""
        left_out = set(services)
        kept = {name: places for name, places in self.services.items() if name not in left_out}
        return attrs.evolve(self, services=kept)

    def __bool__(self) -> bool:
        return bool(self.services or self.fixed)

    def kind(self, service: str) -> Kind:
        """How one of the Services differs."""
        before = self.plan.before
        if service not in self._known:
            return Kind.STALE
        nat = before.tables.get("nat")
        here: dict[str, tuple[str, ...]] = dict(nat.chains) if nat is not None else {}
        own = [chain for chain in self._own_chains.get(service, ()) if chain in here]
        mentioned = self._mentioned.get(service, ())
        if not own and not mentioned:
            return Kind.MISSING
        if not own:
            return Kind.OLDER
        whole = all(_is_whole(chain, here) for chain in own) and self._leads_on(service, here)
        return Kind.OLDER if whole else Kind.DAMAGED

    def _leads_on(self, service: str, here: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether what leads to a Service from outside leads to endpoints where there are some."""
        for name, wanted in self._ports.items():
            if f"{name[0]}/{name[1]}" != service:
                continue
            external = next((c for c in wanted if c.startswith(chains.EXTERNAL_PREFIX)), None)
            if external is None or external not in here:
                continue
            suffix = external.removeprefix(chains.EXTERNAL_PREFIX)
            lines = here[external]
            local = any(" LOCAL traffic " in line for line in lines)
            target = (chains.LOCAL_PREFIX if local else chains.SERVICE_PREFIX) + suffix
            if target in here and not any(line == f"-A {external} -j {target}" for line in lines):
                return False
        return True

    @cached_property
    def _ports(self) -> Mapping[tuple[str, ...], Mapping[str, tuple[str, ...]]]:
        return {
            (name.namespace, name.name, name.port, name.protocol): rules.chains
            for name, rules in self.desired.ports.items()
            if f"{name.namespace}/{name.name}" in self.services
        }

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(f"{n.namespace}/{n.name}" for n in self.desired.ports)

    @cached_property
    def _own_chains(self) -> dict[str, list[str]]:
        """The chains of each Service, as the node has them or should."""
        found: dict[str, list[str]] = {}
        for name, wanted in self._ports.items():
            found.setdefault(f"{name[0]}/{name[1]}", []).extend(
                c for c in wanted if not c.startswith(chains.ENDPOINT_PREFIX)
            )
        for service, places in self.services.items():
            found.setdefault(service, []).extend(
                c for c in places if c.startswith((*_CHOOSING, chains.EXTERNAL_PREFIX))
            )
        return found

    @cached_property
    def _mentioned(self) -> dict[str, list[str]]:
        """The lines of the node in shared chains, by Service."""
        found: dict[str, list[str]] = {}
        for table in self.plan.before.tables.values():
            for chain in (chains.SERVICES, chains.NODEPORTS, chains.EXTERNAL_SERVICES):
                for line in table.chains.get(chain, ()):
                    service = service_of(line)
                    if service in self.services:
                        found.setdefault(service, []).append(line)
        return found


def _places(desired: Translation, name: str, table: TablePlan) -> Iterator[tuple[str, str]]:
    """Chains that differ, each with the Service that it, or the line, belongs to."""
    for chain, change in table.changes.items():
        owner = desired.owner_of_chain(chain) if name == "nat" else None
        if owner is not None:
            yield chain, f"{owner.namespace}/{owner.name}"
            continue
        lines = (*change.removed, *change.added)
        named = dict.fromkeys(filter(None, map(service_of, lines)))
        nameless = [line for line in lines if not service_of(line)]
        yield from ((chain, service) for service in named)
        hashed = chain.startswith((chains.ENDPOINT_PREFIX, *_CHOOSING, chains.EXTERNAL_PREFIX))
        # An unwanted chain that names no Service is removed with the rule that led to it.
        if (not named and not (hashed and change.after is None)) or (nameless and not hashed):
            yield chain, ""
    for insertion in table.insert:
        yield insertion.line, ""
    for line in table.remove:
        yield line, ""
    for chain in table.ensure:
        yield chain, ""


def _is_whole(chain: str, here: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether kube-proxy may have written a chain so, for whatever endpoints."""
    lines = here[chain]
    if not chain.startswith(_CHOOSING):
        return bool(lines) and all(_target_is_there(line, here) for line in lines)
    balancing = [line for line in lines if _ENDPOINT in line and " -m recent " not in line]
    count = len(balancing)
    for place, line in enumerate(balancing):
        left = count - place
        # One in as many as are left, and the last without: kube-proxy never writes another row.
        told = f" {probability(left)} " in line
        if told is not (left > 1) or (left == 1 and " -m statistic " in line):
            return False
    targets = [line.rpartition(_JUMP)[2] for line in balancing]
    return (
        count > 0
        and len(set(targets)) == count
        and all(_is_endpoint(here.get(target, ())) for target in targets)
    )


def _is_endpoint(lines: tuple[str, ...]) -> bool:
    return (
        # The rule that masquerades what comes from the endpoint itself, and the one that
        # translates.
        len(lines) == 2
        and lines[0].endswith(f" -j {chains.MARK_MASQ}")
        and " -j DNAT --to-destination " in lines[1]
    )


def _target_is_there(line: str, here: Mapping[str, tuple[str, ...]]) -> bool:
    target = line.rpartition(_JUMP)[2]
    return not target.startswith("KUBE-") or target in here
