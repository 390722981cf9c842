"""Pairs of states that differ by chance, packets to their frontends, and what traces say of these.

What is reported is held against two traces, which know nothing of classes of sources.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from ipaddress import ip_address

import attrs

from nptables import Family, Packet, ProxyConfig, Ruleset, translate
from nptables.effects import Case, Effects, Fate, NodeState, compare_effects
from nptables.errors import SaveSyntaxError
from nptables.model import Node
from nptables.tracing import Distribution, Outcome, Verdict, read_sets
from nptables.tracing.explanation.result import distributions
from nptables.tracing.hops import Hops
from nptables.tracing.state import Questions
from nptables.tracing.tracer import follow
from tests.support.scenarios import Scenario, random_scenarios

_ENDS = (Verdict.DROPPED, Verdict.REFUSED, Verdict.STAYS)
_RULE_NUMBER = re.compile(r"rule \d+ of ")

SETS = {
    Family.IPV4: read_sets(
        "create friends hash:net\nadd friends 203.0.113.0/25\nadd friends 203.0.113.7 nomatch\n"
        "create doors hash:net,port\nadd doors 198.51.100.0/24,tcp:80\n"
        "add doors 192.168.0.77,30001\n"
    ),
    Family.IPV6: read_sets(
        "create friends hash:net family inet6\nadd friends 2001:db8:5::/64\n"
        "create doors hash:net,port family inet6\nadd doors 2001:db8:6::/64,tcp:80\n"
    ),
}
_FOREIGN = {
    Family.IPV4: (
        "filter FORWARD -j DROP",
        "filter FORWARD -s 203.0.113.0/24 -j DROP",
        "filter INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 30000:32767 -j REJECT",
        "filter FORWARD -m iprange --src-range 10.244.0.9-10.244.1.3 -j DROP",
        "filter FORWARD -i eth1 -j DROP",
        "filter FORWARD ! -o eth0 -m limit --limit 5/sec -j ACCEPT",
        "filter FORWARD -m set --match-set friends src -j REJECT",
        "filter FORWARD -m set ! --match-set doors src,dst -j ACCEPT",
        "filter FORWARD -m set --match-set nobody-knows src -j DROP",
        "filter OUTPUT -m owner --uid-owner 0 -j DROP",
        "filter FORWARD -d 10.244.0.0/16 -j DROP",
        "filter FORWARD -m conntrack --ctorigsrc 172.16.0.0/12 -j DROP",
        "nat PREROUTING -s 192.168.0.0/25 -j ACCEPT",
        "nat PREROUTING -i eth0 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
        "nat PREROUTING -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.244.7.7",
        "nat POSTROUTING -s 10.244.0.0/16 ! -d 10.0.0.0/8 -j MASQUERADE",
        "nat POSTROUTING -o eth1 -j SNAT --to-source 172.16.5.9-172.16.5.20",
        "mangle PREROUTING -s 100.64.0.0/10 -j MARK --set-xmark 0x4000/0x4000",
        "mangle PREROUTING -p udp -j DROP",
        "raw PREROUTING -s 198.51.100.128/25 -j CT --notrack",
        "filter FORWARD -m u32 --u32 \"0xc&0xff=0x7\" -j DROP",
        "filter FORWARD -j NFQUEUE --queue-num 1",
    ),
    Family.IPV6: (
        "filter FORWARD -s 2001:db8:5::/64 -j DROP",
        "filter FORWARD -m iprange --src-range fd00:10:244::5-fd00:10:244:1::9 -j REJECT",
        "filter INPUT -i eth0 -j DROP",
        "filter FORWARD -m set --match-set friends src -j DROP",
        "nat PREROUTING -s 2001:db8::/96 -j ACCEPT",
        "nat POSTROUTING -o eth0 -j MASQUERADE",
        "mangle PREROUTING -s fd00::/8 -j MARK --set-xmark 0x4000/0x4000",
    ),
}  # fmt: skip


@attrs.frozen
class Pair:
    """Two states, and how the second came of the first."""

    how: str
    before: NodeState
    after: NodeState


@functools.cache
def scenarios() -> tuple[Scenario, ...]:
    """The random scenarios in which there is a Service."""
    return tuple(s for s in random_scenarios().values() if s.cluster.services)


def pairs(seed: int, count: int) -> Iterator[Pair]:
    """So many pairs, the same ones for a seed."""
    chance = random.Random(seed)
    made = 0
    while made < count:
        scenario = chance.choice(scenarios())
        family = chance.choice([Family.IPV4, Family.IPV4, Family.IPV6])
        dump = scenario.dumps[family.name]
        node = scenario.cluster.node(scenario.node, facts=scenario.facts)
        if chance.random() < 0.5:
            dump = _with_foreign(dump, family, chance)
        how, text = _other(dump, scenario, node, family, chance)
        states = []
        for each in (dump, text):
            try:
                rules = Ruleset.from_save(each, family=family)
            except SaveSyntaxError:
                break
            states.append(NodeState(rules, node, scenario.cluster, sets=SETS[family]))
        if len(states) == 2:
            made += 1
            yield Pair(f"{scenario.name} {family.value}: {how}", *states)


def _other(
    dump: str, scenario: Scenario, node: Node, family: Family, chance: random.Random
) -> tuple[str, str]:
    how = chance.choice(["damaged", "damaged", "damaged", "foreign", "another cluster"])
    if how == "damaged":
        return how, damaged(dump, family, chance)
    if how == "foreign":
        return how, _with_foreign(dump, family, chance)
    other = chance.choice(scenarios())

    return how, translate(other.cluster, node, scenario.proxy_config, family).to_save()


def _with_foreign(dump: str, family: Family, chance: random.Random) -> str:
    """A dump with rules of others before or behind its own."""
    for rule in chance.sample(_FOREIGN[family], chance.randint(1, 3)):
        table, chain, rest = rule.split(" ", 2)
        dump = _inserted(dump, table, chain, rest, in_front=chance.random() < 0.7)
    return dump


def _inserted(dump: str, table: str, chain: str, rest: str, *, in_front: bool) -> str:
    if f"*{table}\n" not in dump:
        dump += f"*{table}\n:{chain} ACCEPT [0:0]\nCOMMIT\n"
    lines = dump.split("\n")
    start = lines.index(f"*{table}")
    end = lines.index("COMMIT", start)
    if not any(line.startswith(f":{chain} ") for line in lines[start:end]):
        lines.insert(start + 1, f":{chain} ACCEPT [0:0]")
        end += 1
    mine = [n for n in range(start, end) if lines[n].startswith(f"-A {chain} ")]
    first_rule = next((n for n in range(start, end) if lines[n].startswith("-A ")), end)
    at = (mine[0] if in_front else mine[-1] + 1) if mine else first_rule
    lines.insert(at, f"-A {chain} {rest}")
    return "\n".join(lines)


def damaged(dump: str, family: Family, chance: random.Random) -> str:
    """A dump of which some lines were deleted, doubled, moved or edited."""
    lines = dump.split("\n")
    for _ in range(chance.randint(1, 4)):
        rules = [n for n, line in enumerate(lines) if line.startswith("-A ")]
        if not rules:
            break
        at = chance.choice(rules)
        what = chance.choice(["delete", "double", "swap", "edit", "edit"])
        if what == "delete":
            del lines[at]
        elif what == "double":
            lines.insert(at, lines[at])
        elif what == "swap":
            other = chance.choice(_beside(lines, at))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = _edited(lines[at], family, chance)
    return "\n".join(lines)


def _beside(lines: list[str], at: int) -> list[int]:
    """The rules of the same chain of the same table."""
    start = max(n for n in range(at) if lines[n].startswith("*"))
    end = lines.index("COMMIT", at)
    chain = lines[at].split()[1]
    return [n for n in range(start, end) if lines[n].startswith(f"-A {chain} ")]


def _edited(line: str, family: Family, chance: random.Random) -> str:
    edits = [
        lambda: re.sub(r"-s \S+ ", "", line),
        lambda: re.sub(r"(-A \S+) ", rf"\1 -s {_network(family, chance)} ", line, count=1)
        if " -s " not in line else line,
        lambda: re.sub(r"--probability \S+", "--probability 0.25000000000", line),
        lambda: re.sub(r"--dport \d+", f"--dport {chance.choice([80, 443, 30001])}", line),
        lambda: re.sub(r" -j \S+$", f" -j {chance.choice(['DROP', 'ACCEPT', 'RETURN'])}", line),
        lambda: re.sub(r"(--to-destination \S+:)\d+", r"\g<1>9999", line),
        lambda: re.sub(r"0x4000", "0x8000", line, count=1),
        lambda: re.sub(r"! (-[sdio])", r"\1", line),
        lambda: re.sub(r"--seconds \d+", "--seconds 60", line),
    ]  # fmt: skip
    for _ in range(10):
        found = chance.choice(edits)()
        if found != line:
            return found
    return line


def _network(family: Family, chance: random.Random) -> str:
    if family is Family.IPV4:
        return chance.choice(["10.244.0.0/17", "192.168.0.2/32", "203.0.113.0/24", "0.0.0.0/1"])
    return chance.choice(["fd00::/9", "2001:db8::/120", "2001:db8::2/128"])


def packets(pair: Pair, effects: Effects, seed: int, count: int) -> Iterator[Packet]:
    """Packets to frontends of both states, from anywhere, most from where something changes."""
    chance = random.Random(seed)
    frontends = sorted(_frontends(pair))
    if not frontends:
        return
    family = pair.before.rulesets[0].family
    texts = " ".join(r.to_save() for s in (pair.before, pair.after) for r in s.rulesets)
    named = [number for number in map(_number, re.findall(r"[0-9a-f.:]{3,}(?=[/\s\]])", texts))
             if number is not None and number[1] == family.host_prefix]  # fmt: skip
    named += [(n, family.host_prefix) for n in map(_own, _own_addresses(pair, family))]
    # Where effects end is where mistakes would be.
    ends = [end for e in (*effects.effects, *effects.unknown) for span in e.sources.spans[:20]
            for end in span]  # fmt: skip
    for _ in range(count):
        address, port, protocol = chance.choice(frontends)
        kind = chance.random()
        if kind < 0.5 or not ends:
            value = chance.choice(named)[0] + chance.choice([-1, 0, 0, 0, 1])
        elif kind < 0.75:
            value = chance.choice(ends) + chance.choice([-1, 0, 1])
        else:
            value = chance.getrandbits(family.host_prefix)
        source = _text(value % (1 << family.host_prefix), family)
        if source is not None:
            yield Packet(address, port, protocol, source=source)


def _own_addresses(pair: Pair, family: Family) -> list[str]:
    return [*pair.before.node.interface_addresses(family),
            "127.0.0.1" if family is Family.IPV4 else "::1"]  # fmt: skip


def _own(address: str) -> int:
    return int(ip_address(address))


def _number(text: str) -> tuple[int, int] | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return int(found), 32 if found.version == 4 else 128


def _text(value: int, family: Family) -> str | None:
    """An address that a packet may have as its source."""
    if family is Family.IPV4:
        found = ip_address(value.to_bytes(4, "big"))
        usable = value >> 24 and value >> 28 != 0xE and value != 0xFFFFFFFF
    else:
        found = ip_address(value.to_bytes(16, "big"))
        usable = value and value >> 120 != 0xFF and found.ipv4_mapped is None
    return str(found) if usable else None


def _frontends(pair: Pair) -> set[tuple[str, int, str]]:
    """Every address, port and protocol that a Service or a rule of kube-proxy's shape names."""
    found: set[tuple[str, int, str]] = set()
    family = pair.before.rulesets[0].family
    own = [*pair.before.node.interface_addresses(family)]
    for state in (pair.before, pair.after):
        for service in state.cluster.services.values() if state.cluster else ():
            addresses = [*service.external_ips, *(i.ip for i in service.ingress if i.ip)]
            addresses += [ip for fam, ip in service.cluster_ips.items() if fam is family]
            if service.headless or service.type == "ExternalName":
                continue
            for port in service.ports:
                found |= {(a, port.port, port.protocol.lower()) for a in addresses
                          if Family.of(a) is family}  # fmt: skip
                if port.node_port and family in service.cluster_ips:
                    found |= {(a, port.node_port, port.protocol.lower()) for a in own}
        for ruleset in state.rulesets:
            nat = ruleset.tables["nat"].chains.values() if "nat" in ruleset.tables else ()
            for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS"):
                # A chain that nothing leads to means nothing.
                if not any(line.endswith(f"-j {chain}") for lines in nat for line in lines):
                    continue
                for line in ruleset.lines("nat", chain):
                    port_text = re.search(r"-p (\w+) .*--dport (\d+) ", line)
                    to = re.search(r" -d ([0-9a-f.:]+)/(?:32|128) ", line)
                    if port_text and (to or " -d " not in line):
                        addresses = [to[1]] if to else own
                        found |= {(a, int(port_text[2]), port_text[1]) for a in addresses}
    return found


_CONFIG = ProxyConfig()
Ending = tuple[str, str, int | None, bool]


@attrs.frozen
class Told:
    """What `trace` says of a packet, but for the reasons, which cost as much as all else."""

    distributions: tuple[Distribution, ...]
    exhaustive: bool


def told(state: NodeState, packet: Packet) -> Told:
    """What `trace` says of a packet in one state."""
    questions = Questions()
    hops = Hops(state.rulesets, state.node, None, _CONFIG, {}, "", state.unknown_by_node)
    return Told(*distributions(follow(hops, packet, questions, sets=state.sets), questions))


def story(answer: Told) -> frozenset[tuple[object, object]]:
    """A trace without rules: under which conditions, what share of packets ends how."""
    found: dict[object, set[tuple[str, ...]]] = {}
    for distribution in answer.distributions:
        conditions = {
            tuple(_RULE_NUMBER.sub("", text) for text in each) for each in distribution.hypotheses
        }
        ends = frozenset(endings(distribution.outcomes).items())
        found.setdefault(ends, set()).update(conditions)
    # Rules may depend on something of which the end does not.
    alone = len(found) == 1
    return frozenset((ends, frozenset() if alone else frozenset(c)) for ends, c in found.items())


def endings(outcomes: Iterable[Outcome]) -> dict[Ending, Fraction]:
    """The shares of what is noticed: the verdict, the place, whether the source is rewritten."""
    found: dict[Ending, Fraction] = {}
    for outcome in outcomes:
        end: Ending = (outcome.verdict.value, "", None, False)
        if outcome.verdict not in _ENDS:
            text = outcome.text if outcome.verdict is Verdict.UNKNOWN else ""
            end = (f"{outcome.verdict.value} {text}".strip(), str(outcome.destination),
                   outcome.port, outcome.source_rewritten)  # fmt: skip
        found[end] = found.get(end, Fraction(0)) + outcome.share
    return found


def fate_endings(fate: Fate, packet: Packet) -> dict[Ending, Fraction]:
    """The same of a fate, but for how long clients keep to an endpoint."""
    found: dict[Ending, Fraction] = {}
    for each, share in fate.reached:
        to = each.destination, each.port
        if not each.destination and each.verdict not in _ENDS:
            to = str(packet.destination), packet.port
        end = (f"{each.verdict.value} {each.text}".strip(), *to, each.rewritten)
        found[end] = found.get(end, Fraction(0)) + share
    return found


def reported(effects: Effects, packet: Packet) -> list[tuple[bool, tuple[Case, ...]]]:
    """The classes that a packet lies in: whether the fates are known, and the cases."""
    return [
        (known, effect.cases_of(str(packet.source)))
        for known, listed in ((True, effects.effects), (False, effects.unknown))
        for effect in listed
        if str(packet.destination) in effect.addresses
        and (effect.at, effect.protocol) == (packet.port, packet.protocol)
        and str(packet.source) in effect.sources
    ]


def disagreement(pair: Pair, effects: Effects, packet: Packet) -> str:
    """What traces and effects do not agree on; empty where they agree."""
    before, after = told(pair.before, packet), told(pair.after, packet)
    classes = reported(effects, packet)
    if len(classes) > 1:
        return f"{packet} lies in {len(classes)} classes"
    if not classes:
        # Conditions that make no difference may be told apart in one of them alone.
        same = {ends for ends, _ in story(before)} == {ends for ends, _ in story(after)}
        return "" if same else f"{packet}: traces differ, nothing is reported"
    differ = story(before) != story(after)
    ((known, cases),) = classes
    if not cases:
        # Nobody can say.
        return "" if not known else f"{packet}: an effect without fates"
    if not differ:
        affinity = {
            each.affinity for c in cases for f in (c.before, c.after) for each, _ in f.reached
        }
        return "" if affinity != {None} else f"{packet}: reported, and the traces are the same"
    for answer, fates in ((before, [c.before for c in cases]), (after, [c.after for c in cases])):
        possible = [endings(d.outcomes) for d in answer.distributions]
        if not answer.exhaustive:
            continue
        for fate in fates:
            if fate_endings(fate, packet) not in possible:
                return f"{packet}: {fate_endings(fate, packet)} is none of {possible}"
    return ""


def compared(pair: Pair) -> Effects:
    """What is reported for a pair."""
    return compare_effects(pair.before, pair.after)
