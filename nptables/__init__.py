"""The iptables rules behind Kubernetes Services, as any kube-proxy from 1.27 on programs them.

What to import from here, in the order of use:

- `load` reads files into a `Loaded`, whose `.cluster` is a `Cluster`; `Cluster.from_objects` takes
  dicts or client models. `ProxyConfig` is kube-proxy's configuration, `Family` IPv4 or IPv6.
- `translate` makes the rules of a node, a `Ruleset`; `Ruleset.from_save` reads those of a dump.
- `diff` compares two rulesets and gives a `Plan`, about the rules that an `Ownership` names.
  `apply` carries a plan out on this node. `compare_effects` says what packets notice: `Effects`
  between two `NodeState`s.
- `trace` follows a `Packet` through a ruleset, and gives a `Trace`; `reach` does so for every
  Service and node of a cluster, and gives a `Reach`.
- `audit` judges the nodes of a cluster, and `group_causes` puts nodes with one cause together.
- `NptablesError` is the base of all errors; `InvalidInput` carries every `Problem` of the input.

    cluster = load("web.yaml").cluster
    rules = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4)
    print(rules.to_save())

The packages below this one have more: `help("nptables.tracing")` and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.auditing import audit, group_causes
    from nptables.effects import Effects, NodeState, compare_effects
    from nptables.errors import InvalidInput, NptablesError, Problem
    from nptables.family import Family
    from nptables.iptables import Ownership, Ruleset
    from nptables.iptables.changes import Plan
    from nptables.kernel import apply
    from nptables.model import Cluster, ProxyConfig
    from nptables.reachability import Reach, reach
    from nptables.sources import Loaded, load
    from nptables.tracing import Packet, Trace, trace
    from nptables.translation import translate
    from nptables.translation.drift import diff

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - in the order of use, as the text above has them
    "load",
    "Loaded",
    "Cluster",
    "ProxyConfig",
    "Family",
    "translate",
    "Ruleset",
    "diff",
    "Plan",
    "Ownership",
    "apply",
    "compare_effects",
    "NodeState",
    "Effects",
    "trace",
    "Packet",
    "Trace",
    "reach",
    "Reach",
    "audit",
    "group_causes",
    "NptablesError",
    "InvalidInput",
    "Problem",
]

_MODULES = {
    "load": "nptables.sources",
    "Loaded": "nptables.sources",
    "Cluster": "nptables.model",
    "ProxyConfig": "nptables.model",
    "Family": "nptables.family",
    "translate": "nptables.translation",
    "Ruleset": "nptables.iptables",
    "diff": "nptables.translation.drift",
    "Plan": "nptables.iptables.changes",
    "Ownership": "nptables.iptables",
    "apply": "nptables.kernel",
    "compare_effects": "nptables.effects",
    "NodeState": "nptables.effects",
    "Effects": "nptables.effects",
    "trace": "nptables.tracing",
    "Packet": "nptables.tracing",
    "Trace": "nptables.tracing",
    "reach": "nptables.reachability",
    "Reach": "nptables.reachability",
    "audit": "nptables.auditing",
    "group_causes": "nptables.auditing",
    "NptablesError": "nptables.errors",
    "InvalidInput": "nptables.errors",
    "Problem": "nptables.errors",
}


__getattr__ = imported_on_use(__name__, _MODULES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
