"""An address that stands for all addresses of a node, where nobody knows one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import attrs

from nptables.iptables.ruleset import Ruleset
from nptables.model.addresses import parse_ip
from nptables.tracing.surroundings.addressing import Somewhere, net

_HOST = re.compile(r" -[sd] ([0-9a-fA-F.:]+)/(?:32|128)(?= )")


def standing_in(address: Somewhere, rulesets: Iterable[Ruleset], own: Collection[str]) -> Somewhere:
    """The address as one that no rule names, but for those in `own`.

    A rule for one host is about another host, or about an address of the node that is known.
    """
    named = {
        host
        for ruleset in rulesets
        for table in ruleset.tables.values()
        for lines in table.chains.values()
        for line in lines
        for host in _HOST.findall(line)
    }
    bits = address.within.bits
    hosts = (net(host) for host in sorted(named - set(own)) if parse_ip(host) is not None)
    without = tuple(host for host in hosts if host.bits == bits)
    return attrs.evolve(address, without=(*address.without, *without))
