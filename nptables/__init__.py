"""The iptables rules behind Kubernetes Services, as any kube-proxy from 1.27 on programs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

__all__ = [
    "Cluster",
    "Effects",
    "Family",
    "InvalidInput",
    "Loaded",
    "NodeState",
    "NptablesError",
    "Ownership",
    "Packet",
    "Plan",
    "Problem",
    "ProxyConfig",
    "Reach",
    "Ruleset",
    "Trace",
    "apply",
    "audit",
    "compare_effects",
    "diff",
    "group_causes",
    "load",
    "reach",
    "trace",
    "translate",
]

# Each name is imported when it is first used: whoever wants one does not wait for all.
_MODULES = {
    "Cluster": "nptables.model",
    "Effects": "nptables.effects",
    "Family": "nptables.family",
    "InvalidInput": "nptables.errors",
    "Loaded": "nptables.sources",
    "NodeState": "nptables.effects",
    "NptablesError": "nptables.errors",
    "Ownership": "nptables.iptables",
    "Packet": "nptables.tracing",
    "Plan": "nptables.iptables.changes",
    "Problem": "nptables.errors",
    "ProxyConfig": "nptables.model",
    "Reach": "nptables.reachability",
    "Ruleset": "nptables.iptables",
    "Trace": "nptables.tracing",
    "apply": "nptables.kernel",
    "audit": "nptables.auditing",
    "compare_effects": "nptables.effects",
    "diff": "nptables.translation.drift",
    "group_causes": "nptables.auditing",
    "load": "nptables.sources",
    "reach": "nptables.reachability",
    "trace": "nptables.tracing",
    "translate": "nptables.translation",
}


def __getattr__(name: str) -> object:
    """A public name, imported on its first use."""
    if name in _MODULES:
        from importlib import import_module  # noqa: PLC0415 - needed for these names only

        found: object = getattr(import_module(_MODULES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
