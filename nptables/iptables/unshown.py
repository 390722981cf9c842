"""What the form in which rules were written down does not show of them.

`iptables-save` prints everything. A listing is of one table, and without `-v` it has no interfaces;
of a fragment it is unknown which rules were left out.
"""

from __future__ import annotations

from nptables.immutable import frozen

# The match that a reader writes for words that it does not understand: nobody knows whether it
# holds. No extension of iptables has this name.
UNREAD_MATCH = "unread"
# The match that a reader writes for one that holds for all packets, and whose values are not shown.
HOLDS_MATCH = "holds"
# The target that a reader writes for one whose values are not shown.
UNREAD_TARGET = "unread"


@frozen
class Unshown:
    """What is not known of the rules of a ruleset.

    `tables` are those of which nothing is known, not even whether they are there. Chains of `open`
    tables may have more rules than those that are there, before, between and behind them, and
    there may be more chains. Rules of tables in `interfaces` may ask for interfaces. `comments`
    says that comments are not shown, and of some matches and targets only that they are there:
    these are matches and targets of the names above.
    """

    tables: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    interfaces: frozenset[str] = frozenset()
    comments: bool = False

    def __bool__(self) -> bool:
        """Whether there may be more tables, chains, rules or interfaces than are shown."""
        return bool(self.tables or self.open or self.interfaces)


EVERYTHING_SHOWN = Unshown()
