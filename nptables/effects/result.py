"""The answer: whose packets fare differently, and how."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

import attrs

from nptables.effects.fates import ENDS, Case, Fate, Reached
from nptables.effects.rules.lines import Span
from nptables.effects.source_classes import Who, text_of
from nptables.family import Family
from nptables.immutable import frozen
from nptables.tracing import Verdict
from nptables.tracing.addressing import number, with_port
from nptables.tracing.explanation.result import exact_text

NODE_PORT = "nodePort"


# Of many networks so many are named.
_SHOWN = 4
_PODS = {Who.POD, Who.OTHER_POD}
# Nobody is known who would see the source.
_UNSEEN = ENDS | {Verdict.UNKNOWN}
_IN_ORDER = (Who.OUTSIDE, Who.OTHER_NODE, Who.POD, Who.OTHER_POD, Who.NODE)


@attrs.frozen(slots=False)
class Sources:
    """A set of source addresses.

    `spans` are its first and last addresses, as numbers, in order. In words it is everybody of
    `kinds`, but for the networks `without`, and `rest`; `among` are all kinds that there are.
    `names` are those of the words outside, node and pod that fit exactly, `unnamed` are the spans
    that they do not stand for.
    """

    family: Family
    spans: tuple[Span, ...]
    kinds: tuple[Who, ...] = ()
    without: tuple[str, ...] = ()
    rest: tuple[Span, ...] = ()
    among: tuple[Who, ...] = ()
    names: tuple[str, ...] = ()
    unnamed: tuple[Span, ...] = ()

    def __contains__(self, address: str) -> bool:
        """Whether a canonical address is one of them."""
        if Family.of(address) is not self.family:
            return False
        value = number(address)
        return any(first <= value <= last for first, last in self.spans)

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """All of them as CIDRs."""
        return tuple(networks_of(self.spans, self.family))

    @property
    def named(self) -> list[str]:
        """The words outside, node and pod where they fit, CIDRs for all else."""
        return [*self.names, *networks_of(self.unnamed, self.family)]

    def all_of(self, kinds: Collection[Who]) -> bool:
        """Whether some kinds are all that there are, where there are several."""
        return len(self.among) > 1 and set(self.among) <= set(kinds)

    def __str__(self) -> str:
        if not self.without and not self.rest and self.all_of(self.kinds):
            return "anywhere"
        words = [who.value for who in _IN_ORDER if who in self.kinds]
        if set(self.kinds) >= _PODS:
            words = [word for word in words if word != Who.OTHER_POD.value]
            words[words.index(Who.POD.value)] = "pods"
        host = f"/{self.family.host_prefix}"
        networks = [text.removesuffix(host) for text in networks_of(self.rest, self.family)]
        text = in_a_row([*words, *_few(networks)])
        return f"{text} but for {in_a_row(_few(self.without))}" if self.without else text


def _few(networks: Sequence[str]) -> Sequence[str]:
    if len(networks) <= _SHOWN + 1:
        return networks
    return [*networks[:_SHOWN], f"{len(networks) - _SHOWN} more networks"]


def in_a_row(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def networks_of(spans: tuple[Span, ...], family: Family) -> Iterator[str]:
    """The fewest CIDRs that are exactly some spans."""
    bits = family.host_prefix
    for first, last in spans:
        while first <= last:
            # The largest network that begins here, and then the largest that still ends in the
            # span.
            size = bits if first == 0 else (first & -first).bit_length() - 1
            size = min(size, (last - first + 1).bit_length() - 1)
            yield f"{text_of(first, family)}/{bits - size}"
            first += 1 << size  # noqa: PLW2901 - the next network begins behind this one


@frozen
class Effect:
    """A class of packets whose fate differs, and both fates.

    `service` is `namespace/name`, empty if the Service of the frontend is unknown; `port_name` and
    `port` are those of the Service's port (None where not known), `kind` the field that makes the
    frontend (`clusterIP`, `externalIP`, `load-balancer IP`, `nodePort`, `health-check port`).
    `addresses` are the destination addresses that this is so for, and `at` the destination port.
    `sources` are those of the packets, `node` is where they come by. `cases` are the conditions
    under which the fates differ, the most usual first, with the fates. Of `hairpins`, which are
    sources and endpoints, each also has its source rewritten where it is sent to itself.
    """

    service: str
    port_name: str
    port: int | None
    protocol: str
    kind: str
    addresses: tuple[str, ...]
    at: int
    sources: Sources
    node: str
    cases: tuple[Case, ...]
    hairpins: frozenset[str] = frozenset()
    every_address: bool = False
    problem: str = ""

    @property
    def known(self) -> bool:
        """Whether both fates are known, at least under some conditions."""
        return any(case.known for case in self.cases)

    @property
    def before(self) -> Fate | None:
        """The fate in the first state, in the most usual case."""
        return self.cases[0].before if self.cases else None

    @property
    def after(self) -> Fate | None:
        """The fate in the second state, in the most usual case."""
        return self.cases[0].after if self.cases else None

    @property
    def to(self) -> str:
        """The destination: `address:port`, or `nodePort:port` for all addresses of the node."""
        if self.every_address:
            return f"{NODE_PORT}:{self.at}"
        return ", ".join(with_port(address, self.at) for address in self.addresses)

    def cases_of(self, source: str) -> tuple[Case, ...]:
        """The differing cases of the packets of one source, which is one of `sources`."""
        if source not in self.hairpins:
            return self.cases
        return tuple(hairpinned(case, source) for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """The effect as plain data."""
        found: dict[str, Any] = {
            "service": self.service or None,
            "port": self.port if self.port is not None else self.at,
            "portName": self.port_name or None,
            "protocol": self.protocol.upper(),
            "to": self.to,
            "addresses": list(self.addresses),
            "from": self.sources.named,
            "node": self.node,
        }
        if self.problem:
            return {**found, "text": self.problem}
        first = self.cases[0]
        found |= {"before": _fate_json(first.before), "after": _fate_json(first.after)}
        if first.conditions != ((),) or len(self.cases) > 1:
            found["cases"] = [
                {
                    "conditions": [list(conditions) for conditions in case.conditions],
                    "before": _fate_json(case.before),
                    "after": _fate_json(case.after),
                }
                for case in self.cases
            ]
        return found


def hairpinned(case: Case, source: str) -> Case:
    """The case of an endpoint that, where it is sent to itself, has its source rewritten."""

    def rewritten(fate: Fate) -> Fate:
        return Fate(
            tuple(
                (attrs.evolve(each, rewritten=True) if each.destination == source else each, share)
                for each, share in fate.reached
            )
        )

    return attrs.evolve(case, before=rewritten(case.before), after=rewritten(case.after))


def _fate_json(fate: Fate) -> dict[str, Any]:
    verdicts = list(dict.fromkeys(each.verdict.value for each, _ in fate.reached))
    there = [each for each, _ in fate.reached if each.verdict not in _UNSEEN]
    sources = {each.rewritten for each in there}
    affinity = {each.affinity for each in there if each.verdict.arrives}
    return {
        "verdict": verdicts[0] if len(verdicts) == 1 else "mixed",
        "endpoints": {
            where(each): exact_text(share)
            for each, share in fate.reached
            if each.verdict.arrives and each.destination
        },
        "source": None
        if not there
        else "mixed"
        if len(sources) > 1
        else "rewritten"
        if True in sources
        else "kept",
        "affinitySeconds": affinity.pop() if len(affinity) == 1 else None,
        "outcomes": [_reached_json(each, exact_text(share)) for each, share in fate.reached],
    }


def _reached_json(each: Reached, share: str) -> dict[str, Any]:
    return {
        "verdict": each.verdict.value,
        "share": share,
        "destination": where(each) or None,
        "source": None if each.verdict in _UNSEEN else "rewritten" if each.rewritten else "kept",
        "affinitySeconds": each.affinity,
        "text": each.text or each.why,
    }


def where(each: Reached) -> str:
    """Where a packet was sent to, as `address:port`; empty where it was sent nowhere else."""
    return with_port(each.destination, each.port) if each.destination else ""


@frozen
class Effects:
    """Everything that packets notice of the difference between two states.

    `unknown` are classes of packets for which it is unknown whether they notice anything. `same`
    counts the frontends for which no rule on the way differs, `cosmetic` those whose rules differ
    but whose packets have the same outcome.
    """

    effects: tuple[Effect, ...] = ()
    same: int = 0
    cosmetic: int = 0
    unknown: tuple[Effect, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any effect."""
        return bool(self.effects)

    def to_json(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "effects": [effect.to_json() for effect in self.effects],
            "same": self.same,
            "cosmetic": self.cosmetic,
            "unknown": [effect.to_json() for effect in self.unknown],
        }

    @staticmethod
    def joined(parts: tuple[Effects, ...]) -> Effects:
        """Several answers as one, such as those of both families."""
        return Effects(
            tuple(effect for part in parts for effect in part.effects),
            sum(part.same for part in parts),
            sum(part.cosmetic for part in parts),
            tuple(effect for part in parts for effect in part.unknown),
        )
