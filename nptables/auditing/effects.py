"""Whether packets notice what differs on a node: exactly, and no more work than that takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest

import attrs

from nptables.auditing.differing import Differing
from nptables.effects import Effect, Effects, Fate, NodeState, compare_effects
from nptables.iptables import Ruleset
from nptables.iptables.changes.outcome import carried_out
from nptables.model import Cluster, Node, ProxyConfig
from nptables.tracing.addressing import with_port
from nptables.translation import chains
from nptables.translation.explanation.grouping import service_of

# So many Services are looked at, then so many, then all: where packets notice, few mostly tell.
_STEPS = (2, 12)


@attrs.frozen
class Noticed:
    """The Services whose packets fare otherwise, and one such packet in words.

    `all_looked_at` tells that there are no others. `unsure` are Services for which it is unknown.
    """

    services: tuple[str, ...] = ()
    example: str = ""
    all_looked_at: bool = True
    unsure: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services or self.unsure or self.example)


@attrs.frozen
class Ground:
    """Whose rules they are, and what is known around them."""

    node: Node
    cluster: Cluster
    config: ProxyConfig


def notice(differing: Differing, ground: Ground) -> Noticed:
    """What packets notice of the differences of a node's rules, in one family.

    What belongs to no Service may concern all: then some of them stand for the rest first.
    """
    services = pool = _one_of_each_kind_first(differing.services)
    if differing.fixed:
        known = sorted(f"{namespace}/{name}" for namespace, name in ground.cluster.services)
        pool = list(dict.fromkeys((*services, *known)))
    return effects_between(differing.plan.before, carried_out(differing.plan), pool, ground)


def _one_of_each_kind_first(services: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The Services in turn by the kinds of chains in which they differ."""
    kinds: dict[frozenset[str], list[str]] = {}
    for service, places in services.items():
        kinds.setdefault(frozenset(place[:9] for place in places), []).append(service)
    turns = zip_longest(*kinds.values())
    return [service for turn in turns for service in turn if service is not None]


def effects_between(
    before: Ruleset, after: Ruleset, services: Sequence[str], ground: Ground
) -> Noticed:
    """What packets to some Services notice of the difference of two rulesets.

    Those that come first are looked at first, and the others only where these notice nothing.
    """
    # Most differences show in any Service, and comparing all of a large cluster takes long.
    for count in (count for count in _STEPS if count < len(services)):
        if found := _between(before, after, services[:count], ground):
            return attrs.evolve(found, all_looked_at=False)
    return _between(before, after, services, ground)


def _between(before: Ruleset, after: Ruleset, services: Sequence[str], ground: Ground) -> Noticed:
    chosen = frozenset(services)
    cluster = _part(ground.cluster, chosen)
    here, wanted = (
        NodeState(cut_down(rules, chosen), ground.node, cluster, ground.config)
        for rules in (before, after)
    )
    return _noticed(compare_effects(here, wanted), chosen)


def cut_down(ruleset: Ruleset, services: Collection[str]) -> Ruleset:
    """The rules without those in the shared chains that lead to other Services."""
    tables = {
        name: attrs.evolve(
            table, chains=_cut_down(table.chains, services), line_counters={}, order=()
        )
        for name, table in ruleset.tables.items()
    }
    return attrs.evolve(ruleset, tables=tables)


def _cut_down(
    lines: Mapping[str, tuple[str, ...]], services: Collection[str]
) -> dict[str, tuple[str, ...]]:
    found = dict(lines)
    for chain in chains.OF_SERVICES:
        if chain in found:
            found[chain] = tuple(_kept(found[chain], services))
    return found


def _kept(lines: tuple[str, ...], services: Collection[str]) -> Iterator[str]:
    for line in lines:
        service = service_of(line)
        if not service or service in services:
            yield line


def _noticed(effects: Effects, chosen: Collection[str]) -> Noticed:
    # Rules of others stay as they are, and lead to frontends that were not asked about.
    ours = [e for e in effects.effects if not e.service or e.service in chosen]
    unsure = [e for e in effects.unknown if not e.service or e.service in chosen]
    return Noticed(
        tuple(sorted({effect.service for effect in ours} - {""})),
        example(ours[0]) if ours else "",
        unsure=tuple(sorted({effect.service for effect in unsure} - {""})),
    )


def example(effect: Effect) -> str:
    """One packet of an effect, and how it fares now and by the cluster."""
    source = next(iter(effect.sources.named), "anywhere")
    whose = f" ({effect.service})" if effect.service else ""
    what = f"{effect.protocol.upper()} to {effect.to}{whose} from {source}"
    if not effect.cases:
        return f"{what}: {effect.problem}"
    case = effect.cases[0]
    return f"{what}: here {_words(case.before)}, by the cluster {_words(case.after)}"


def _words(fate: Fate) -> str:
    """What becomes of a packet, in a few words."""
    there = [(each, share) for each, share in fate.reached if each.verdict.arrives]
    if not there:
        return " or ".join(dict.fromkeys(each.verdict.value for each, _ in fate.reached))
    first = there[0][0]
    where = with_port(first.destination, first.port)
    more = f" or one of {len(there) - 1} more" if len(there) > 1 else ""
    lost = "" if len(there) == len(fate.reached) else ", or nowhere"
    rewritten = {each.rewritten for each, _ in there}
    hidden = ", its source hidden" if rewritten == {True} else ""
    return f"it reaches {where}{more}{lost}{hidden}"


def _part(cluster: Cluster, services: Collection[str]) -> Cluster:
    keys = {key for key in cluster.services if "/".join(key) in services}
    return attrs.evolve(
        cluster,
        services={key: cluster.services[key] for key in keys},
        slices={k: s for k, s in cluster.slices.items() if s.service_key in keys},
        problems=(),
        unread=(),
    )
