"""The iptables rules behind Kubernetes Services: as kube-proxy 1.36 would program them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nptables.errors import InvalidInput, NptablesError, Problem
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import Plan, diff
from nptables.model import Cluster, ProxyConfig
from nptables.translation import translate

if TYPE_CHECKING:
    from nptables.kernel import apply
    from nptables.tracing import Packet, Trace, trace

__version__ = "0.1.0"

__all__ = [
    "Cluster",
    "Family",
    "InvalidInput",
    "NptablesError",
    "Ownership",
    "Packet",
    "Plan",
    "Problem",
    "ProxyConfig",
    "Ruleset",
    "Trace",
    "apply",
    "diff",
    "trace",
    "translate",
]

# What starts programs or takes long to import is imported when it is first used.
_LAZY = {
    "Packet": "nptables.tracing",
    "Trace": "nptables.tracing",
    "apply": "nptables.kernel",
    "trace": "nptables.tracing",
}


def __getattr__(name: str) -> object:
    """A public name whose module is imported on its first use."""
    if name in _LAZY:
        from importlib import import_module  # noqa: PLC0415 - needed for these names only

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
