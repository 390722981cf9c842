"""The ranges of a cluster that made-up addresses and ports are taken from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nptables.errors import InvalidInput, Problem, printable
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import addresses

# The first is kubeadm's default (DefaultServicesSubnet), and the second is made like it: IPv6 has
# none.
SERVICE_CIDRS = ("10.96.0.0/12", "fd00:10:96::/112")
# The default of kube-apiserver's --service-node-port-range.
NODE_PORT_RANGE = "30000-32767"
_DIGITS = 5


@frozen
class Ranges:
    """Where made-up values come from: a network of each family, and first and last node port."""

    networks: Mapping[Family, str]
    first_port: int
    last_port: int

    @classmethod
    def parse(
        cls,
        service_cidrs: Iterable[str] = SERVICE_CIDRS,
        node_port_range: str = NODE_PORT_RANGE,
    ) -> Ranges:
        """Ranges from text; a family that is not named keeps its default. Raises InvalidInput."""
        problems = []
        networks: dict[Family, str] = {}
        for text in service_cidrs:
            network = addresses.parse_network(text.strip())
            if network is None:
                problems.append(
                    Problem(
                        f'the Service range "{printable(text, 60)}" is not a network',
                        hint=f"such as {SERVICE_CIDRS[0]} or {SERVICE_CIDRS[1]}",
                    )
                )
            elif networks.setdefault(Family.of(network), network) != network:
                family = Family.of(network)
                said = f"{networks[family]} and {network} are Service ranges of {family.value}"
                problems.append(Problem(said, hint="at most one of each family"))
        ends = node_port_range.split("-")
        are_numbers = all(n.isascii() and n.isdecimal() and len(n) <= _DIGITS for n in ends)
        first, last = map(int, ends) if are_numbers and len(ends) == 2 else (0, 0)
        if not 1 <= first <= last <= 65535:
            problems.append(
                Problem(
                    f'the node port range "{printable(node_port_range, 60)}" is not a range',
                    hint=f"such as {NODE_PORT_RANGE}",
                )
            )
        if problems:
            raise InvalidInput(problems)
        for text in SERVICE_CIDRS:
            networks.setdefault(Family.of(text), text)
        return cls(networks, first, last)
