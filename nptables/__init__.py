"""The iptables rules behind Kubernetes Services: as kube-proxy 1.36 would program them."""

from nptables.errors import InvalidInput, NptablesError, Problem
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.model import Cluster, ProxyConfig
from nptables.translation import translate

__version__ = "0.1.0"

__all__ = [
    "Cluster",
    "Family",
    "InvalidInput",
    "NptablesError",
    "Ownership",
    "Problem",
    "ProxyConfig",
    "Ruleset",
    "translate",
]
