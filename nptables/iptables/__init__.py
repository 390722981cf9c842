"""The iptables language: rulesets, their text, and rules parsed on demand."""

from nptables.iptables.dumps import read_all_dumps, read_dumps
from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import Chain, Ruleset, Table

__all__ = ["Chain", "Ownership", "Ruleset", "Table", "read_all_dumps", "read_dumps"]
