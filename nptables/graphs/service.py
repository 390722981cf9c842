"""A Service on a node as a graph, read from the rules that the node has for it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from fractions import Fraction

from nptables.graphs.graph import Drawing, Graph, Kind
from nptables.inet import with_port
from nptables.iptables.rule import Rule
from nptables.model import Endpoint
from nptables.translation import Translation, chains
from nptables.translation.chains import ServicePortName
from nptables.translation.service_port import PortRules

# More endpoints than this make an unreadable picture.
MOST_ENDPOINTS = 24
_STEPS = 1 << 31
_KIND_OF_ADDRESS = re.compile(r' (cluster IP|external IP|loadbalancer IP)"')


def service_graph(rules: Translation, service: tuple[str, str]) -> Graph:
    """Frontends, chains and endpoints of a Service in the rules of a node.

    Shares are those of the rules. A chain that marks packets for masquerading says whose. Of many
    endpoints the first are drawn, and the rest as one.
    """
    drawing = Drawing()
    for name, port in rules.ports.items():
        if (name.namespace, name.name) == service:
            _Port(drawing, rules, name, port).draw()
    namespace, name_alone = service
    return drawing.graph(f"{namespace}/{name_alone} on {rules.context.node_name}")


class _Port:
    """One service port being drawn."""

    def __init__(
        self, drawing: Drawing, rules: Translation, name: ServicePortName, port: PortRules
    ) -> None:
        self._drawing = drawing
        self._family = rules.family
        self._here = rules.context.node_name
        self._name = name
        self._port = port
        self._endpoints: Mapping[str, Endpoint] = dict(port.selection.reachable)
        self._targets = {name.endpoint_chain(text): text for text, _ in port.selection.reachable}
        self._hidden = set(list(self._targets)[MOST_ENDPOINTS:])

    def draw(self) -> None:
        """Draw the frontends, then what they lead to."""
        for (table, chain), lines in self._port.shared.items():
            for line in lines:
                self._draw_frontend(table, chain, line)
        for chain, lines in self._port.chains.items():
            if chain not in self._targets:
                self._draw_chain(chain, lines)
        for chain, text in self._targets.items():
            self._draw_endpoint(chain, text)

    def _draw_frontend(self, table: str, chain: str, line: str) -> None:
        rule = Rule.parse(line, self._family)
        target = rule.target.name if rule.target is not None else ""
        port = next((o.value for m in rule.matches if (o := m.option("--dport"))), "")
        if target == "ACCEPT":
            what = f"health check node port {port}"
        elif rule.destination is not None and not rule.destination.value.startswith("127."):
            address = rule.destination.value.rpartition("/")[0]
            what = f"{with_port(address, port)}/{self._name.protocol}"
        elif rule.destination is not None:
            what = f"nodePort {port}/{self._name.protocol} on localhost"
        else:
            what = f"nodePort {port}/{self._name.protocol}"
        said = _KIND_OF_ADDRESS.search(line)
        frontend = self._drawing.vertex(
            ("frontend", what), Kind.FRONTEND, what, *((said[1],) if said else ())
        )
        shared = self._drawing.vertex(
            ("chain", table, chain), Kind.CHAIN, chain, *(("filter",) if table == "filter" else ())
        )
        self._drawing.edge(frontend, shared)
        self._drawing.edge(shared, self._target(target, line), what)

    def _target(self, target: str, line: str) -> Hashable:
        if target in ("REJECT", "DROP", "ACCEPT"):
            word = {"REJECT": "refused", "DROP": "dropped", "ACCEPT": "accepted"}[target]
            why = [w for w in ("has no endpoints", "has no local endpoints") if f'{w}"' in line]
            return self._drawing.vertex(("end", word, *why), Kind.END, word, *why)
        return self._vertex_of(target)

    def _vertex_of(self, chain: str) -> Hashable:
        if chain in self._hidden:
            more = f"{len(self._hidden)} more endpoints"
            return self._drawing.vertex(("more", str(self._name)), Kind.ENDPOINT, more)
        return self._drawing.vertex(("chain", "nat", chain), Kind.CHAIN, chain, *self._says(chain))

    def _says(self, chain: str) -> Iterator[str]:
        for prefix, what in (
            (chains.EXTERNAL_PREFIX, "external traffic"),
            (chains.SERVICE_PREFIX, "policy Cluster"),
            (chains.LOCAL_PREFIX, "policy Local"),
            (chains.SOURCE_RANGES_PREFIX, "source ranges"),
        ):
            if chain.startswith(prefix):
                yield f"{self._name}: {what}"

    def _draw_chain(self, chain: str, lines: Sequence[str]) -> None:
        here = self._vertex_of(chain)
        left = Fraction(1)
        masquerading = False
        for line in lines:
            rule = Rule.parse(line, self._family)
            if rule.target is None:
                continue
            condition = _condition(rule)
            if rule.target.name == chains.MARK_MASQ:
                whose = f"masquerades {condition}" if condition else "masquerades"
                self._drawing.vertex(here, Kind.CHAIN, whose, masquerades=True)
                masquerading = masquerading or not condition
                continue
            if any(match.name == "recent" for match in rule.matches):
                self._drawing.vertex(here, Kind.CHAIN, "remembers clients (ClientIP)")
                continue
            chance = _chance(rule)
            share = None
            if rule.target.name in self._targets:
                share = left * chance
                left -= share
            self._drawing.edge(
                here, self._vertex_of(rule.target.name), condition, share, masquerades=masquerading
            )

    def _draw_endpoint(self, chain: str, text: str) -> None:
        if chain in self._hidden:
            return
        endpoint = self._endpoints[text]
        state = "ready" if endpoint.ready else "draining" if endpoint.terminating else "not ready"
        where = endpoint.node_name or "no node"
        local = ", this node" if endpoint.node_name == self._here else ""
        lines = [text, f"{state}, {where}{local}"]
        if endpoint.target:
            lines.append(f"pod {endpoint.target}")
        found = self._drawing.vertex(("endpoint", text), Kind.ENDPOINT, *lines)
        self._drawing.vertex(("chain", "nat", chain), Kind.CHAIN, chain)
        self._drawing.edge(("chain", "nat", chain), found, "DNAT")


def _condition(rule: Rule) -> str:
    """Which packets a rule of a service port's own chain is for, in words."""
    parts = []
    if rule.source is not None:
        parts.append(f"from {'outside ' if rule.source.negated else ''}{rule.source.value}")
    if rule.in_interface is not None:
        by = "not by" if rule.in_interface.negated else "by"
        parts.append(f"{by} {rule.in_interface.value}")
    if any(match.option("--src-type") is not None for match in rule.matches):
        parts.append("from the node itself")
    return ", ".join(parts)


def _chance(rule: Rule) -> Fraction:
    for match in rule.matches:
        option = match.option("--probability")
        if option is not None:
            return Fraction(round(float(option.value) * _STEPS), _STEPS)
    return Fraction(1)
