"""Which nodes answer at a NodePort: `python who_answers.py FILE...`."""

from __future__ import annotations

import sys

from nptables import Family, Packet, ProxyConfig, load, trace, translate
from nptables.tracing.explanation.words import answer_line

CLIENT = "203.0.113.9"


def main(*files: str) -> None:
    """Follow a packet from outside to every NodePort on every node."""
    cluster = load(*files).cluster
    config = ProxyConfig()
    for service in cluster.services.values():
        for port in service.ports:
            for node in cluster.nodes.values() if port.node_port else ():
                rules = translate(cluster, node, config, Family.IPV4)
                address = next(address for _, address in node.addresses)
                packet = Packet(address, port.node_port, port.protocol, source=CLIENT)
                answer = trace(rules, packet, node, cluster, config=config)
                print(f"{service.name} on {node.name}:{port.node_port} {answer_line(answer)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
