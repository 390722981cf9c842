"""The iptables language: rulesets, their text, and rules parsed on demand."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.iptables.dumps import read_all_dumps, read_dumps
    from nptables.iptables.ownership import Ownership
    from nptables.iptables.ruleset import Chain, Ruleset, Table

__all__ = ["Chain", "Ownership", "Ruleset", "Table", "read_all_dumps", "read_dumps"]

# Who translates needs no reader of dumps.
__getattr__ = imported_on_use(
    __name__,
    {
        "Chain": "nptables.iptables.ruleset",
        "Ownership": "nptables.iptables.ownership",
        "Ruleset": "nptables.iptables.ruleset",
        "Table": "nptables.iptables.ruleset",
        "read_all_dumps": "nptables.iptables.dumps",
        "read_dumps": "nptables.iptables.dumps",
    },
)
