"""Which table the chains of proxies and network plugins are in, by their names."""

from __future__ import annotations

import re

from nptables.translation import chains

_NAT = re.compile(
    r"KUBE-(?:SVC|SVL|EXT|FW|SEP|XLB)-[A-Z2-7]{16}"
    r"|KUBE-(?:MARK-MASQ|MARK-DROP|POSTROUTING|NODE-PORT|LOAD-BALANCER|HOSTPORTS|HP-\S+)"
    r"|CNI-(?:HOSTPORT-\S+|DN-\S+|SN-\S+|[0-9a-f]{24})|FLANNEL-POSTRTG"
    r"|cali-(?:nat-outgoing|fip-dnat|fip-snat)"
)
_FILTER = re.compile(
    r"KUBE-(?:ROUTER-\S+|POD-FW-\S+|NWPLCY-\S+)|DOCKER-(?:USER|FORWARD|ISOLATION-\S+)|FLANNEL-FWD"
)
_OF_FILTER = frozenset({
    chains.FORWARD, chains.FIREWALL, chains.EXTERNAL_SERVICES, chains.PROXY_FIREWALL,
})  # fmt: skip


def table_of_chain(chain: str) -> str:
    """The only table that chains of a name are in; empty where there are several, or none known.

    >>> [table_of_chain(name) for name in ("KUBE-MARK-MASQ", "KUBE-FORWARD", "KUBE-SERVICES")]
    ['nat', 'filter', '']
    """
    if _NAT.fullmatch(chain):
        return "nat"
    return "filter" if chain in _OF_FILTER or _FILTER.fullmatch(chain) else ""
