"""What the rules of a node do not decide, because another program handles its Services."""

from __future__ import annotations

from nptables.evidence.handling import Certainty, Handler, Handling, asking, is_of_a_cluster
from nptables.immutable import frozen

_LEFT = "what happens to a packet that no rule translates"


@frozen
class OtherProxies:
    """Which other program decides about packets for Services on a node, in words.

    `before` is what is said where they get the packets that the rules would translate, `behind`
    where they get those that no rule translates; each is empty where that is not so.
    `behind_for_services` holds for a packet that is known to be for a Service.
    """

    before: str = ""
    behind: str = ""
    behind_for_services: str = ""
    notes: tuple[str, ...] = ()

    def text(self, *, translated: bool, ended: bool, of_service: bool) -> str:
        """Why the fate of a packet for a Service is unknown; empty where the rules decide it.

        `translated` tells that a rule translated it, `ended` that one stopped it, `of_service`
        that it is known to be for a Service.
        """
        if self.before:
            return self.before
        if translated or ended:
            return ""
        return self.behind or (self.behind_for_services if of_service else "")


def other_proxies(handling: Handling, node: str) -> OtherProxies:
    """What other programs decide on a node."""
    others = handling.others
    if any(not each.who.behind_rules for each in others):
        text = (
            f"{handling.sentence(node)}, not by these rules, which do not show where a packet for "
            f"one goes ({asking(others, node)})"
        )
        return OtherProxies(before=text)
    if others:
        text = f"{handling.sentence(node)}: {_LEFT} is not in the rules"
        return OtherProxies(behind=f"{text} ({asking(others, node)})")
    notes = tuple(
        f"{each.who.words} may handle Services on {node} too ({each.seen})"
        for each in handling.possible
    )
    maybe = [
        each
        for each in handling.possible
        if each.who is not Handler.IPTABLES and (each.who.behind_rules or not handling.acting)
    ]
    if maybe:
        whom = " or ".join(f"{each.who.words} ({each.seen})" for each in maybe)
        text = f"Services on {node} may be handled by {whom}: {_LEFT} is not in the rules"
        return OtherProxies(behind=f"{text} ({asking(maybe, node)})", notes=notes)
    nobody = handling.of(Handler.NOBODY)
    if nobody is None or nobody.certainty is not Certainty.POSSIBLE:
        return OtherProxies(notes=notes)
    text = (
        f"nothing here shows who handles Services on {node}: {nobody.seen}; kube-proxy in mode "
        "nftables and some other proxies have no rules in the nat table of iptables (`nft list "
        f"tables` on {node} and the programs that run there tell)"
    )
    if is_of_a_cluster(nobody):
        return OtherProxies(behind=text)
    return OtherProxies(behind_for_services=text)
