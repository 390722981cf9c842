"""The iptables tables of a node: backends, which one is used, and carrying plans out."""

from nptables.kernel.tables.applier import Applied, Applier, apply
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.choosing import Choice, choose
from nptables.kernel.tables.restoring import Patience, RestoreBackend

__all__ = [
    "Applied",
    "Applier",
    "Backend",
    "Choice",
    "Patience",
    "RestoreBackend",
    "apply",
    "choose",
]
