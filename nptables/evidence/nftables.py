"""Tables as `nft list ruleset` and `nft -j list ruleset` print them, as evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nptables.errors import printable
from nptables.evidence.chain_tables import table_of_chain
from nptables.evidence.node import Evidence, Form, Gap
from nptables.evidence.rules import gaps_of
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.nftables.documents import read_document
from nptables.iptables.nftables.reading import Habits, NftListing, read_listing
from nptables.iptables.nftables.tables import NftText, is_nft_text, read_tables
from nptables.iptables.pasted import Kind, Pasted
from nptables.iptables.ruleset import NFT

_NAMED = 6
# Chains of those who ask for nothing that nft prints in part, and how many of the matches that
# they put into a rule print nothing: comments, and with endpoints a bare `-m tcp`. Their sources
# are named in `handlers`.
_WRITERS = (
    ("KUBE-SEP-", 2), ("KUBE-", 1), ("cali-", 2), ("CNI-", 1), ("FLANNEL-", 1), ("CILIUM_", 1),
    ("ANTREA-", 1), ("OVN-KUBE-", 1), ("DOCKER", 0), ("ufw-", 0),
)  # fmt: skip
_PORTAL = re.compile(r"KUBE-(?:SVC|SVL|XLB)-[A-Z2-7]{16}")
_FIREWALL = re.compile(r"KUBE-FW-[A-Z2-7]{16}")
_ENDPOINT = re.compile(r"KUBE-SEP-[A-Z2-7]{16}")


def from_nft_text(text: str, family: Family | None = None) -> Evidence | None:
    """The tables that `nft list` printed as text; None where it printed nothing of it.

    `family` is that of rules that do not tell.
    """
    return _evidence(read_tables(text), family) if is_nft_text(text) else None


def from_nft_document(value: Mapping[str, Any], family: Family | None = None) -> Evidence:
    """The tables that `nft -j list` printed."""
    found = _evidence(read_document(value), family)
    nothing = Ruleset(family or Family.IPV4, {}, backend=NFT)
    return found or Evidence(Form.LISTING, (nothing,), native=())


def _evidence(found: NftText, family: Family | None) -> Evidence | None:
    listing = read_listing(
        found, Habits(table_of_chain, _comments, _may_share, _always, _is_targetless), family
    )
    if listing is None:
        return None
    is_open = any(ruleset.unshown.open for ruleset in listing.rulesets)
    return Evidence(
        Form.FRAGMENT if is_open else Form.LISTING,
        listing.rulesets,
        native=listing.native if listing.native or listing.whole else None,
        gaps=tuple(dict.fromkeys(_gaps(listing))),
    )


def _comments(chain: str, target: str) -> int | None:
    """How many comments the writer of a rule puts into it at most; None for an unknown one."""
    for beginning, count in _WRITERS:
        if chain.startswith(beginning) or target.startswith(beginning):
            return count
    return None


def _may_share(chain: str, target: str) -> bool:
    """Whether a rule may be for a share of packets: kube-proxy's are, for endpoints."""
    # The statistic match is one of those that nft prints nothing of.
    return bool(_PORTAL.fullmatch(chain) and _ENDPOINT.fullmatch(target))


def _always(chain: str) -> frozenset[str]:
    """Matches that hold for every packet: nfacct counts, and endpoints' chains note the client."""
    return frozenset({"nfacct", "recent"} if _ENDPOINT.fullmatch(chain) else {"nfacct"})


def _is_targetless(chain: str) -> bool:
    """kube-proxy's chains for source ranges end with a rule that is a comment and nothing else."""
    return _FIREWALL.fullmatch(chain) is not None


def _gaps(listing: NftListing) -> Iterator[Gap]:
    kind = Kind.FRAGMENT if any(r.unshown.open for r in listing.rulesets) else Kind.LISTING
    yield from gaps_of(
        Pasted(kind, listing.rulesets, guessed=listing.guessed, strays=listing.strays)
    )
    if not any(ruleset.tables for ruleset in listing.rulesets):
        return
    yield Gap("comments of rules", "nft does not print them")
    if not listing.exact:
        yield Gap(
            "conditions that are not printed",
            "nft up to 1.0.5, and iptables up to 1.8.7, print nothing for some, such as the shares "
            "of endpoints: iptables-save prints all",
        )
    words = list(listing.unread.items())
    for text, count in words[:_NAMED]:
        where = "one rule" if count == 1 else f"{count} rules"
        yield Gap(
            f"the meaning of `{printable(text, 60)}` in {where}",
            "nft does not print it, or prints it in an unknown form",
        )
    if len(words) > _NAMED:
        yield Gap(f"{len(words) - _NAMED} more such words", "they are not understood")
