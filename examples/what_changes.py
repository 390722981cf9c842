"""What packets notice on each node: `python what_changes.py OLD NEW NODES`."""

from __future__ import annotations

import sys

from nptables import Family, NodeState, ProxyConfig, compare_effects, load, translate
from nptables.effects.words import sentences


def main(old: str, new: str, nodes: str) -> None:
    """Compare the rules of every node for the old manifests with those for the new."""
    before, after = load(old, nodes).cluster, load(new, nodes).cluster
    config = ProxyConfig()
    effects = []
    for name in before.nodes:
        states = [
            NodeState(
                translate(cluster, cluster.node(name), config, Family.IPV4),
                cluster.node(name),
                cluster,
                config,
            )
            for cluster in (before, after)
        ]
        effects += compare_effects(*states).effects
    for sentence in sentences(effects):
        print(sentence)


if __name__ == "__main__":
    main(*sys.argv[1:])
