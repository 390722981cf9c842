"""Effects in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from nptables.effects.fates import ENDS, Case, Fate, Reached
from nptables.effects.result import NODE_PORT, Effect, Effects, Sources, in_a_row, where
from nptables.effects.rules.frontends import HEALTH_CHECK
from nptables.errors import printable
from nptables.tracing import Verdict
from nptables.tracing.addressing import with_port

_LISTED = 4
_WORDS = {
    Verdict.DROPPED: "dropped",
    Verdict.REFUSED: "refused",
    Verdict.NODE: "left to the node itself",
    Verdict.LEAVES: "sent on as it is",
    Verdict.POD: "sent on to the pod",
    Verdict.STAYS: "kept by its sender",
    Verdict.UNKNOWN: "not known",
}
_REASONS = (
    ("has no local endpoints", "no local endpoint"),
    ("has no endpoints", "no endpoint"),
    ("traffic not accepted by", "not in loadBalancerSourceRanges"),
)


# The addresses of nodes, by their names.
Addresses = Mapping[str, Collection[str]]
NOBODYS: Addresses = {}


def sentences(effects: Iterable[Effect], own: Addresses = NOBODYS) -> Iterator[str]:
    """Effects, each in a sentence.

    Those that differ in who sends alone share one, and so do those of several nodes. Of a node that
    has addresses in `own`, these are called its own, so that nodes differ in less.
    """
    found: dict[tuple[str, str, str], list[Sources]] = {}
    for effect in effects:
        key = _frontend(effect), effect.node, _told(effect)
        found.setdefault(key, []).append(effect.sources)
    nodes: dict[tuple[str, str, str], list[str]] = {}
    for (frontend, node, told), those in found.items():
        texts = [_of_own(each, own.get(node, ())) for each in (frontend, _from(those), told)]
        nodes.setdefault((texts[0], texts[1], texts[2]), []).append(node)
    for (frontend, sources, told), named in nodes.items():
        yield _sentence(frontend, named, sources, told)


def same_on_nodes(
    effects: Iterable[Effect], own: Addresses = NOBODYS
) -> Iterator[tuple[Effect, str]]:
    """The effects, each once, with its sentence for all nodes that it is the same on."""
    found: dict[tuple[str, str, str], tuple[Effect, dict[str, None]]] = {}
    for effect in effects:
        texts = [
            _of_own(each, own.get(effect.node, ()))
            for each in (_frontend(effect), str(effect.sources), _told(effect))
        ]
        _, nodes = found.setdefault((texts[0], texts[1], texts[2]), (effect, {}))
        nodes[effect.node] = None
    for (frontend, sources, told), (effect, nodes) in found.items():
        yield effect, _sentence(frontend, list(nodes), sources, told)


def _of_own(text: str, addresses: Collection[str]) -> str:
    for address in addresses:
        text = re.sub(rf"(?<![\w.:]){re.escape(address)}(?![\w]|\.\d)", "its own address", text)
    return text


def nodes_in_words(nodes: Sequence[str]) -> str:
    """The names of nodes; of many the first, and how many there are."""
    if len(nodes) <= _LISTED:
        return in_a_row(nodes)
    return f"{len(nodes)} nodes ({_listed(list(nodes))})"


def _sentence(frontend: str, nodes: Sequence[str], sources: str, told: str) -> str:
    return printable(f"{frontend} on {nodes_in_words(nodes)}, from {sources}{told}", 2000)


def _from(those: Sequence[Sources]) -> str:
    if len(those) == 1:
        return str(those[0])
    kinds = {kind for each in those for kind in each.kinds}
    parted = any(each.rest or each.without for each in those)
    if not parted and those[0].all_of(kinds):
        return "anywhere"
    return ", and from ".join(map(str, those))


def _told(effect: Effect) -> str:
    """What an effect says, but for at which frontend and from where."""
    if effect.problem:
        return f": unknown, because {effect.problem}"
    case = effect.cases[0]
    # A client that keeps to its endpoint is nothing out of the usual.
    others = [each for each in effect.cases[1:] if not _is_of_affinity(each)]
    also = f" (and otherwise under {_count(len(others), 'other condition')})" if others else ""
    return f"{_condition(case)}: {_change(case.before, case.after)}{also}"


def _is_of_affinity(case: Case) -> bool:
    return all(any(" seen at " in text for text in texts) for texts in case.conditions)


def summary(found: Effects) -> str:
    """How many effects there are, and how many frontends differ in text alone."""
    nothing = "no known effect" if found.unknown else "packets notice nothing"
    parts = [_count(len(found.effects), "effect") if found.effects else nothing]
    if found.cosmetic:
        written = _count(found.cosmetic, "frontend has", "frontends have")
        parts.append(f"{written} rules that are only written differently")
    if found.unknown:
        classes = _count(len(found.unknown), "class", "classes")
        parts.append(f"{classes} of packets whose effect is unknown")
    return ", ".join(parts)


def _frontend(effect: Effect) -> str:
    service = effect.service or "a service"
    if effect.port_name and effect.service:
        service += f":{effect.port_name}"
    protocol = "" if effect.protocol == "tcp" else f"/{effect.protocol.upper()}"
    if effect.every_address:
        kind = HEALTH_CHECK if effect.kind == HEALTH_CHECK else "node port"
        return f"{service} {kind} {effect.at}{protocol}"
    words = {"clusterIP": "cluster IP", "externalIP": "external IP", NODE_PORT: "node port"}
    places = in_a_row([with_port(address, effect.at) for address in effect.addresses])
    return " ".join(filter(None, (service, words.get(effect.kind, effect.kind), places))) + protocol


def _condition(case: Case) -> str:
    said = [[t for t in texts if " not seen in " not in t] for texts in case.conditions]
    ways = list(dict.fromkeys(" and ".join(texts) for texts in said))
    if "" in ways:
        return ""
    more = f", or in {len(ways) - 2} more cases" if len(ways) > 2 else ""
    return f", where {', or '.join(ways[:2])}{more}"


def _change(before: Fate, after: Fate) -> str:
    was, now = _endpoints(before), _endpoints(after)
    if _fate(before) == _fate(after) and not (before.known or after.known):
        return _fate(before)
    if not was or not now or _rest(before) != _rest(after):
        return f"was {_fate(before)}, now {_fate(after)}"
    parts = []
    if was.keys() != now.keys():
        come = [text for text in now if text not in was]
        gone = [text for text in was if text not in now]
        moves = [f"{_listed(t)} {word}" for t, word in ((come, "new"), (gone, "gone")) if t]
        counts = f"reached {_of(was)}, now {_of(now)}"
        several = len(was) > 1 or len(now) > 1
        parts.append(f"{counts} ({', '.join(moves)})" if several else counts)
    elif was != now:
        parts.append(f"shares of {_of(now)} change: {_shares(was, now)}")
    if (old := _source(before)) != (new := _source(after)):
        parts.append(f"source {old} before, now {new}")
    if (kept := _affinity(before)) != (keeps := _affinity(after)):
        parts.append(f"clients kept to {kept} before, now to {keeps}")
    return "; ".join(parts) or f"was {_fate(before)}, now {_fate(after)}"


def _fate(fate: Fate) -> str:
    """All of it in words: `dropped (no local endpoint)`, `sent to 3 endpoints, source hidden`."""
    parts = []
    endpoints = _endpoints(fate)
    share = sum(endpoints.values(), Fraction(0))
    if endpoints:
        kept = _affinity(fate)
        affinity = "" if kept == _FREE else f", clients keep to {kept}"
        parts.append(f"{_part(share)}sent to {_of(endpoints)}, source {_source(fate)}{affinity}")
    parts += [
        f"{_part(share)}{_WORDS[each.verdict]}{_because(each)}" for each, share in _rest_of(fate)
    ]
    return ", ".join(parts)


def _part(share: Fraction) -> str:
    return "" if share == 1 else f"{_number(share)} "


def _number(share: Fraction) -> str:
    """A share as people write it: the kernel's chances are near simple fractions."""
    # One in three is 0.33333333349 in the kernel, which keeps probabilities in steps of 1/2^31.
    simple = share.limit_denominator(100)
    close = abs(simple - share) < Fraction(1, 1_000_000)
    return str(simple) if close else f"{float(share) * 100:.2f} %"


def _because(each: Reached) -> str:
    text = each.text or each.why
    if each.verdict not in (*ENDS, Verdict.UNKNOWN) or not text:
        return ""
    said = next((short for long, short in _REASONS if long in text), text)
    return f" ({said})"


def _endpoints(fate: Fate) -> dict[str, Fraction]:
    """The shares of those that packets are sent to."""
    found: dict[str, Fraction] = {}
    for each, share in fate.reached:
        if _is_sent(each):
            found[where(each)] = found.get(where(each), Fraction(0)) + share
    return found


def _is_sent(each: Reached) -> bool:
    return bool(each.destination) and each.verdict is not Verdict.UNKNOWN


def _rest_of(fate: Fate) -> list[tuple[Reached, Fraction]]:
    return [(each, share) for each, share in fate.reached if not _is_sent(each)]


def _rest(fate: Fate) -> dict[Verdict, Fraction]:
    found: dict[Verdict, Fraction] = {}
    for each, share in _rest_of(fate):
        found[each.verdict] = found.get(each.verdict, Fraction(0)) + share
    return found


def _of(endpoints: dict[str, Fraction]) -> str:
    return next(iter(endpoints)) if len(endpoints) == 1 else f"{len(endpoints)} endpoints"


def _source(fate: Fate) -> str:
    found = {each.rewritten for each, _ in fate.reached if _is_sent(each)}
    return "partly hidden" if len(found) > 1 else "hidden" if True in found else "kept"


_FREE = "no endpoint"


def _affinity(fate: Fate) -> str:
    found = {each.affinity for each, _ in fate.reached if _is_sent(each)} - {None}
    if not found:
        return _FREE
    return f"one for {_time(max(s for s in found if s is not None))}"


def _time(seconds: int) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _shares(was: dict[str, Fraction], now: dict[str, Fraction]) -> str:
    moved = [text for text in now if was[text] != now[text]]
    texts = [f"{text} from {_number(was[text])} to {_number(now[text])}" for text in moved]
    return _listed(texts)


def _listed(texts: list[str]) -> str:
    more = [f"{len(texts) - _LISTED} more"] if len(texts) > _LISTED else []
    return in_a_row([*texts[:_LISTED], *more])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
