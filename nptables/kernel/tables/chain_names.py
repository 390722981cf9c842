"""The names of all chains of the nft tables of one family, however busy others keep them.

`nft list chains` takes 3 s for 120,000 chains and starts over whenever somebody commits meanwhile.
The kernel lists them in 0.2 s (NFT_MSG_GETCHAIN of linux/netfilter/nf_tables.h). What is added or
deleted while it lists may be there or not; the list is asked for twice, so that a chain which
another one's deletion made it skip is not lost.

That is done by a program of its own, so that it is started where the other programs are, as in
another network namespace: `main` prints table, chain and policy, `-` for a chain at no hook.
"""

from __future__ import annotations

import sys

from nptables.errors import BackendUnavailable, printable
from nptables.family import Family
from nptables.kernel import netlink
from nptables.kernel.programs import Runner

# The chains of each table with their policies; None is that of a chain that is at no hook.
Names = dict[str, dict[str, str | None]]

# NFNL_SUBSYS_NFTABLES (linux/netfilter/nfnetlink.h), NFT_MSG_GETCHAIN, and NFTA_CHAIN_TABLE, _NAME
# and _POLICY (linux/netfilter/nf_tables.h).
_SUBSYSTEM = 10
_GET = 4
_TABLE, _NAME, _POLICY = 1, 3, 5
# By NF_DROP and NF_ACCEPT, and then NFPROTO_IPV4 and NFPROTO_IPV6 (linux/netfilter.h).
_POLICIES = ("DROP", "ACCEPT")
_PROTOCOLS = {Family.IPV4: 2, Family.IPV6: 10}
_SECONDS = 60.0
_PROGRAM = f"import sys; from {__name__} import main; sys.exit(main())"


def chain_names(family: Family, run: Runner) -> Names:
    """All chains of a family by their tables. Raises BackendUnavailable."""
    done = run([sys.executable, "-c", _PROGRAM, family.value], "", _SECONDS)
    if done.code:
        said = printable(done.stderr.strip().rpartition("\n")[2])
        raise BackendUnavailable(f"the chains of the nft tables cannot be listed: {said}")
    names: Names = {}
    for line in done.stdout.splitlines():
        try:
            table, chain, policy = line.split("\t")
        except ValueError:
            # nft refuses such a name, netlink does not.
            raise BackendUnavailable(
                "an nft table has a chain with a tab or a line break in its name"
            ) from None
        names.setdefault(table, {})[chain] = None if policy == "-" else policy
    return names


def _listed(family: Family) -> dict[tuple[str, str], str]:
    found = {}
    protocol = _PROTOCOLS[family]
    for _, attributes in netlink.ask(_SUBSYSTEM, _GET, netlink.DUMP, family=protocol):
        policy = attributes.get(_POLICY)
        where = netlink.text(attributes.get(_TABLE)), netlink.text(attributes.get(_NAME))
        found[where] = "-" if policy is None else _POLICIES[int.from_bytes(policy, "big") & 1]
    return found


def main() -> str | None:
    """Print the chains of the family that is named; returns what went wrong."""
    family = Family(sys.argv[1])
    try:
        found = {**_listed(family), **_listed(family)}
    except OSError as error:
        return str(error)
    text = "".join(f"{t}\t{c}\t{policy}\n" for (t, c), policy in found.items())
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    return None
