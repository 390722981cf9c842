"""Native nft rules in the tables of iptables-nft, some of which no iptables program can print.

iptables-nft-save leaves such a table out and ends well, so that whoever believes it takes a full
table for an empty one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Family, Ruleset
from nptables.errors import KernelRefused
from nptables.iptables.changes import diff
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel.tables import parts
from nptables.kernel.tables.canaries import missing_rules, plant_canaries
from nptables.translation import ownership
from nptables.translation.owned import cleanup_ownership
from tests.kernel.nodes import Node, rules_of
from tests.support.requirements import requires
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.kernel

# A native rule of each kind, and whether iptables-nft-save 1.8.9 still prints its table. (It
# prints the first three as if they matched everything, and ends with exit code 3 at the last.)
KINDS = {
    "an anonymous set": ("ip saddr { 192.0.2.1, 192.0.2.2 } drop", True),
    "a verdict map": ("ip saddr vmap { 192.0.2.1 : drop }", True),
    "a named set": ("ip saddr @foreign drop", True),
    "a comment of nft's": ('ip saddr 192.0.2.1 counter drop comment "by hand"', True),
    "a count of connections": ("ct count over 20 drop", False),
    "a limit turned round": ("limit rate over 10/second drop", False),
    "a meter": ("meter {} { ip saddr limit rate 1/second } accept", False),
    "a log": ('log prefix "x "', False),
    "a map of states": ("ct state vmap { invalid : drop }", False),
    "a time": ('meta time "2020-01-01" drop', False),
}


@pytest.fixture
def node(nft_node: Node) -> Node:
    nft_node.count_packets()
    nft_node.netns.run(["iptables-nft", "-w", "60", "-N", "MINE"])
    nft_node.netns.run(["iptables-nft", "-w", "60", "-A", "FORWARD", "-j", "MINE"])
    nft(nft_node, "add set ip filter foreign { type ipv4_addr; }")
    return nft_node


def nft(node: Node, words: str) -> str:
    return node.netns.run(["nft", words]).stdout


def listed(node: Node, words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(node.netns.run(["nft", "-j", words]).stdout)[
        "nftables"
    ]
    return found


def jumps(node: Node, table: str, family: str = "ip") -> list[tuple[str, str]]:
    """Chain and target of every jump in the built-in chains, as nft sees them."""
    return sorted(
        (rule["chain"], expression["jump"]["target"])
        for entry in listed(node, f"list table {family} {table}")
        if (rule := entry.get("rule")) and rule["chain"] in BUILT_IN_CHAINS[table]
        for expression in rule["expr"]
        if "jump" in expression
    )


def foreign(node: Node) -> list[object]:
    """The rules in FORWARD that are not ours, without their counters and handles."""
    found = listed(node, "list chain ip filter FORWARD")
    rules = [entry["rule"]["expr"] for entry in found if "rule" in entry]
    return [
        [e for e in rule if "counter" not in e] for rule in rules if "KUBE" not in json.dumps(rule)
    ]


WANTED = rules_of("nodeport-cluster-policy")
# Every jump of ours once, from the rules themselves, and the one of somebody else.
ONCE = {
    table: sorted(
        (chain, line.rpartition(" -j ")[2])
        for chain in BUILT_IN_CHAINS[table]
        for line in WANTED.lines(table, chain)
    )
    for table in ("filter", "nat")
}


@pytest.mark.long
@pytest.mark.parametrize(("rule", "printed"), KINDS.values(), ids=KINDS)
def test_no_native_rule_makes_us_add_what_is_there_or_leave_what_is_ours(
    node: Node, rule: str, *, printed: bool
) -> None:
    nft(node, f"add rule ip filter FORWARD {rule.replace('{}', 'last')}")
    node.applier().sync(WANTED)
    assert sorted([*ONCE["filter"], ("FORWARD", "MINE")]) == jumps(node, "filter")
    assert ONCE["nat"] == jumps(node, "nat")
    # Now it stands before ours as well.
    nft(node, f"insert rule ip filter FORWARD {rule.replace('{}', 'first')}")
    theirs = foreign(node)
    assert printed is not bool(node.read().remarks.unreadable)
    again = node.applier().sync(WANTED)
    assert (again.commits, bool(again.plan)) == (0, False)
    assert theirs == foreign(node)
    # As an earlier version left them: more than once.
    for line in [line for line in WANTED.lines("filter", "FORWARD") if "KUBE-FORWARD" in line] * 2:
        node.netns.restore(f"*filter\n{line}\nCOMMIT\n", "IPV4", noflush=True)
    assert jumps(node, "filter").count(("FORWARD", "KUBE-FORWARD")) == 3
    node.applier().sync(WANTED)
    assert sorted([*ONCE["filter"], ("FORWARD", "MINE")]) == jumps(node, "filter")
    clean(node)
    firewall = [("INPUT", "KUBE-FIREWALL"), ("OUTPUT", "KUBE-FIREWALL")]
    assert [("FORWARD", "MINE"), *firewall] == jumps(node, "filter")
    assert jumps(node, "nat") == []
    assert theirs == foreign(node)


def clean(node: Node) -> None:
    nothing, owner = Ruleset(Family.IPV4, {}), cleanup_ownership()
    node.applier().apply(diff(node.read(), nothing, ownership=owner))


def test_a_native_chain_at_a_hook_is_nobodys_business(node: Node) -> None:
    """The table is printed without it, so all of ours is known."""
    nft(node, "add chain ip filter native { type filter hook forward priority -10; }")
    nft(node, "add rule ip filter native ct count over 20 drop")
    before = nft(node, "list chain ip filter native")
    node.applier().sync(WANTED)
    assert not node.applier().sync(WANTED).commits
    clean(node)
    assert before == nft(node, "list chain ip filter native")
    traced = node.nptables(
        "trace", "--live", "--from", "outside", "--to", "192.0.2.1:80", check=False
    )
    assert "nft table ip filter has chains of its own at forward" in traced.stderr


def test_a_live_trace_leaves_open_what_a_table_does_that_cannot_be_printed(
    node: Node, tmp_path: Path
) -> None:
    """What can be read of it, chain by chain, lets the packet pass."""
    tutorial = FIXTURES / "tutorial" / "two-nodes.yaml"
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        'interfaces: {lo: ["127.0.0.1/8"], eth0: ["192.168.0.11/24"], cni0: ["10.233.64.1/24"]}\n'
    )
    node.apply(tutorial, "--node", "node1", "-4")

    def traced() -> subprocess.CompletedProcess[str]:
        ends = ("--from", "192.168.0.99", "--to", "192.168.0.11:30080")
        whose = ("--live", "--node", "node1", "--facts", facts)
        return node.nptables("trace", tutorial, *whose, *ends, check=False)

    before = traced()
    nft(node, "insert rule ip filter FORWARD ct count over 20 drop")
    done = traced()

    assert (before.returncode, before.stdout.startswith("arrives: ")) == (0, True)
    assert done.returncode == 1
    which = "table filter of node1, which iptables cannot print,"
    assert done.stdout.startswith("depends: it arrives in some cases and not in others ")
    assert f"If {which} lets the packet pass as it is:" in done.stdout
    assert f"If {which} stops the packet:" in done.stdout


def test_a_native_rule_in_a_chain_of_ours_is_taken_out(node: Node) -> None:
    """Whoever owns a chain writes it anew where it cannot be read."""
    node.applier().sync(WANTED)
    nft(node, "insert rule ip nat KUBE-SERVICES ct count over 20 drop")
    assert node.applier().sync(WANTED).commits
    assert not node.applier().sync(WANTED).commits


def test_ip6tables_and_nat_are_read_in_the_same_way(node: Node) -> None:
    wanted = rules_of("nodeport-dual-stack", Family.IPV6)
    backend = node.backend(Family.IPV6)
    node.netns.run(["ip6tables-nft", "-w", "60", "-t", "nat", "-A", "PREROUTING", "-j", "ACCEPT"])
    nft(node, "insert rule ip6 nat PREROUTING ct count over 20 return")
    node.applier(Family.IPV6).sync(wanted)
    assert backend.read().remarks.unreadable == ("nat",)
    assert jumps(node, "nat", "ip6").count(("PREROUTING", "KUBE-SERVICES")) == 1
    assert not node.applier(Family.IPV6).sync(wanted).commits


def test_canaries_and_jumps_are_not_missed_where_their_chain_cannot_be_printed(node: Node) -> None:
    """Else an agent would repair for ever what is not broken."""
    node.applier().sync(WANTED)
    plant_canaries(node.backend())
    nft(node, "add rule ip filter FORWARD ct count over 20 drop")
    assert missing_rules(node.backend(), ownership()) == ()
    gone = next(line for line in WANTED.lines("filter", "FORWARD") if "KUBE-FORWARD" in line)
    node.netns.restore(f"*filter\n-D{gone[2:]}\nCOMMIT\n", "IPV4", noflush=True)
    assert (f"filter: {gone}",) == missing_rules(node.backend(), ownership())


def test_a_table_with_too_many_chains_to_be_read_one_by_one_is_not_written(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read back is not written; the error names the rule's chain."""
    nft(node, "insert rule ip filter FORWARD ct count over 20 drop")
    before = nft(node, "list ruleset")
    # FORWARD and MINE are there, and ours would make it more.
    for most, words in ((3, "could not be read back"), (1, "nft -a list chain ip filter FORWARD")):
        monkeypatch.setattr(parts, "MOST_CHAINS", most)
        with pytest.raises(KernelRefused, match=words):
            node.applier().sync(WANTED)
        assert before == nft(node, "list ruleset")


def test_commands_say_which_rule_keeps_a_table_from_being_printed(
    node: Node, tmp_path: Path
) -> None:
    requires("nfacct")
    cluster = tmp_path / "cluster.json"
    cluster.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "node1"},
                "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
            }
        )
    )
    nft(node, "insert rule ip filter FORWARD ct count over 20 drop")
    for _ in range(2):
        done = node.apply(cluster, "--node", "node1", "-4")
        assert "nft -a list chain ip filter FORWARD" in done.stderr
    assert "nothing to do" in done.stderr
    compared = node.nptables("diff", cluster, "--node", "node1", "-4", "--live")
    assert (compared.stdout, "cannot be read as a whole" in compared.stderr) == ("", True)
    cleaned = node.nptables("cleanup", "-4", "--backend", "nft")
    assert "nft -a list chain ip filter FORWARD" in cleaned.stderr
    dump = tmp_path / "dump.txt"
    dump.write_text(node.netns.run(["iptables-nft-save"]).stdout)
    refused = node.nptables("diff", cluster, "--node", "node1", "--current", dump, check=False)
    assert (refused.returncode, "the dump has no filter table" in refused.stderr) == (2, True)
