"""Plans carried out on the real kernel, on both backends and by libiptc."""

from __future__ import annotations

import random
import re
import sys
from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset, diff
from nptables.errors import KernelRefused
from nptables.iptables.changes import undo
from tests.kernel.nodes import Node, endpoints, foreign_part, manifest, rules_for, rules_of, service
from tests.support.requirements import requires
from tests.support.savetext import SHARED_CHAINS, differences, parse_save
from tests.support.scenarios import CONFORMANCE, NAMED, named_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import netns as support

pytestmark = pytest.mark.kernel

FOREIGN = """\
*nat
:MY-NAT - [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j MY-NAT
-A MY-NAT -j RETURN
COMMIT
*filter
:MY-FILTER - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
-P INPUT DROP
-P FORWARD DROP
-A INPUT -i lo -j ACCEPT
-A FORWARD -i eth9 -j MY-FILTER
-A MY-FILTER -m comment --comment "not yours" -j DROP
COMMIT
"""
FAMILIES: dict[Family, support.Family] = {Family.IPV4: "IPV4", Family.IPV6: "IPV6"}


@pytest.mark.parametrize("family", FAMILIES)
def test_applying_scenario_after_scenario_gives_what_kube_proxy_recorded(
    family: Family, node: Node
) -> None:
    requires("nfacct", "nfacct objects")
    node.count_packets()
    node.netns.restore(FOREIGN, FAMILIES[family], noflush=True)
    foreign = foreign_part(node.read(family))
    # Growing large leaves commented chains as they are, which is a matter of its own.
    names = random.Random(4).sample([n for n in NAMED if "large" not in n], 14)

    for name in names:
        done = node.applier(family).sync(rules_of(name, family))

        assert done.verified or not done.commits
        assert not done.kept
        held = parse_save(node.netns.save(FAMILIES[family]))
        wanted = named_scenario(name).dumps[FAMILIES[family]]
        for (table, chain), want in parse_save(wanted).items():
            # Where kube-proxy only needs KUBE-FIREWALL, its rules are somebody else's.
            ensured = chain == "KUBE-FIREWALL" and not want.rules
            if want.declaration.startswith("-") and not ensured:
                want_rules, got = want.rules, held[table, chain].rules
                if chain in SHARED_CHAINS:
                    want_rules, got = sorted(want_rules), sorted(got)
                assert got == want_rules, f"{name}: {table} {chain}"
        ours = {key for key in held if key[1].startswith("KUBE-")} - {
            ("filter", "KUBE-ROUTER-INPUT")
        }
        assert ours == {key for key in parse_save(wanted) if key[1].startswith("KUBE-")}
        assert foreign_part(node.read(family)) == foreign
    assert held["filter", "INPUT"].declaration.startswith("DROP ")
    assert held["filter", "FORWARD"].declaration.startswith("DROP ")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_recorded_dump_needs_no_change(family: Family) -> None:
    for name in NAMED:
        dump = Ruleset.from_save(named_scenario(name).dumps[FAMILIES[family]], family=family)
        assert diff(dump, rules_of(name, family)).empty, name


def test_a_shared_chain_keeps_the_counters_of_the_rules_that_stay(node: Node) -> None:
    objects = [o for i in range(6) for o in (service(i), endpoints(i, 1))]
    node.applier().sync(rules_for(objects))
    saved = node.netns.run([node.netns.program("IPV4", "save"), "-c", "-t", "nat"]).stdout
    counted = re.sub(r"\[0:0\] (-A KUBE-SERVICES .*web1)", r"[5:500] \1", saved)
    assert counted != saved
    node.netns.run([node.netns.program("IPV4", "restore"), "-c", "-w", "60"], input=counted)

    done = node.applier().sync(rules_for([*objects, service(6), endpoints(6, 2)]))

    assert done.commits == 1
    saved = node.netns.run([node.netns.program("IPV4", "save"), "-c", "-t", "nat"]).stdout
    assert len(re.findall(r"\[5:500\] -A KUBE-SERVICES .*web1", saved)) == 1


def test_a_chain_that_a_foreign_rule_uses_is_kept_and_does_not_stop_the_rest(node: Node) -> None:
    old = rules_for([service(1), endpoints(1, 2), service(2), endpoints(2, 1)])
    node.applier().sync(old)
    used = next(
        c
        for c in old.tables["nat"].chains
        if old.owner_of_chain(c) is not None
        and c.startswith("KUBE-SVC")
        and old.owner_of_chain(c).name == "web1"
    )
    node.netns.iptables("IPV4", "-t", "nat", "-A", "OUTPUT", "-o", "eth9", "-j", used)

    done = node.applier().sync(rules_for([service(2), endpoints(2, 3)]))

    assert done.kept == (("nat", used),)
    nat = node.read().tables["nat"].chains
    assert nat[used] == ()
    assert f"-A OUTPUT -o eth9 -j {used}" in nat["OUTPUT"]
    assert sum(chain.startswith("KUBE-SEP-") for chain in nat) == 3
    assert node.applier().sync(rules_for([service(2), endpoints(2, 3)])).commits == 0


def test_a_jump_that_appears_after_the_comparison_does_not_stop_the_rest(node: Node) -> None:
    old = rules_for([service(1), endpoints(1, 3), service(2), endpoints(2, 1)])
    node.applier().sync(old)
    plan = diff(node.read(), rules_for([service(2), endpoints(2, 1)]))
    used = next(chain for chain in plan.tables["nat"].delete if chain.startswith("KUBE-SVC"))
    node.netns.iptables("IPV4", "-t", "nat", "-A", "OUTPUT", "-j", used)

    done = node.applier().apply(plan)

    assert done.kept == (("nat", used),)
    left = {
        chain
        for chain in node.read().tables["nat"].chains
        if chain in old.tables["nat"].chains
        and chain not in rules_for([service(2), endpoints(2, 1)]).tables["nat"].chains
    }
    assert left == {used}


def with_scattered_copies(node: Node, rules: Ruleset, table: str, chain: str) -> tuple[str, ...]:
    """Put copies of our jumps between rules of others, and give the lines that shall be left."""
    ours = rules.lines(table, chain)
    theirs = [f"-A {chain} -s 203.0.113.{number}/32 -j ACCEPT" for number in range(3)]
    for line in (theirs[0], *ours, theirs[1], *reversed(ours), theirs[2]):
        node.netns.restore(f"*{table}\n{line}\nCOMMIT\n", "IPV4", noflush=True)
    assert len(node.read().lines(table, chain)) == 3 * len(ours) + 3
    return (*ours, *theirs)


@pytest.mark.parametrize(("table", "chain"), [("filter", "FORWARD"), ("nat", "PREROUTING")])
def test_of_equal_jumps_the_first_stays_before_the_rules_of_others(
    node: Node, table: str, chain: str
) -> None:
    rules = rules_for([service(1), endpoints(1, 3)])
    node.applier().sync(rules)
    left = with_scattered_copies(node, rules, table, chain)

    node.applier().sync(rules)

    assert left == node.read().lines(table, chain)
    assert node.applier().sync(rules).commits == 0


def test_a_plan_that_is_out_of_date_is_made_anew(node: Node) -> None:
    objects = [o for i in range(8) for o in (service(i), endpoints(i, 1))]
    node.applier().sync(rules_for(objects))
    plan = diff(node.read(), rules_for(objects[:-2]))
    assert any(
        line.startswith("-A KUBE-SERVICES")
        for line in plan.tables["nat"].changes["KUBE-SERVICES"].removed
    )
    node.netns.iptables("IPV4", "-t", "nat", "-F", "KUBE-SERVICES")

    done = node.applier().apply(plan)

    assert done.replanned == 1
    assert diff(node.read(), rules_for(objects[:-2])).empty


def test_a_refused_rule_is_named_with_its_service(node: Node) -> None:
    rules = rules_of("nfacct-counters")

    with pytest.raises(KernelRefused) as caught:
        node.applier().sync(rules)

    assert "--nfacct-name" in caught.value.line
    assert caught.value.table in ("nat", "filter")
    assert caught.value.code
    assert not [
        c for t in node.read().tables.values() for c in t.chains if c.startswith("NPTABLES")
    ]


def test_a_refused_rule_of_a_service_says_which_service(node: Node) -> None:
    rules = rules_for([service(i) for i in (1, 2)] + [endpoints(1, 2), endpoints(2, 2)])
    text = rules.to_save().replace("10.200.2.2:8080", "10.200.2.2:99999")
    broken = Ruleset.from_save(text)

    with pytest.raises(KernelRefused) as caught:
        node.applier().apply(diff(node.read(), broken, ownership=rules.ownership))

    assert caught.value.service == "ns/web2"
    assert "10.200.2.2:99999" in caught.value.line


def test_kubelets_firewall_chain_stays_where_kube_proxy_only_needs_it_to_exist(node: Node) -> None:
    name, family = "localhost-nodeports-off", Family.IPV4
    node.netns.restore(
        "*filter\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n"
        "-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP\nCOMMIT\n",
        "IPV4",
        noflush=True,
    )
    node.applier(family).sync(rules_of(name, family))

    plan = diff(node.read(family), rules_of(name, family))

    assert plan.empty
    chains = node.read(family).tables["filter"].chains
    assert chains["KUBE-FIREWALL"] == ("-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP",)
    assert chains["INPUT"].count("-A INPUT -j KUBE-FIREWALL") == 1


def test_taking_a_plan_back_gives_the_tables_that_were_there(node: Node) -> None:
    node.netns.restore(FOREIGN, "IPV4", noflush=True)
    node.applier().sync(rules_for([service(1), endpoints(1, 2)]))
    before = node.netns.save("IPV4")
    plan = diff(node.read(), rules_for([service(1), endpoints(1, 5), service(2)]))
    node.applier().apply(plan)
    assert differences(before, node.netns.save("IPV4"))

    node.applier().apply(undo(plan, node.read()))

    assert not differences(before, node.netns.save("IPV4"), shared=SHARED_CHAINS)


# Where kube-proxy only needs the chain of this rule, whoever wrote it there keeps it.
FIREWALL_RULE = (
    "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "
    '"block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT '
    "-j DROP"
)
SCENARIOS_BY_LIBIPTC = """
import sys
from nptables import Family, Ruleset, diff
from nptables.kernel import Applier
from nptables.kernel.tables.libiptc import LibiptcBackend
from tests.kernel.nodes import rules_of
family = Family[sys.argv[1]]
backend = LibiptcBackend.load(family, wait=60)
for name in sys.argv[2:]:
    Applier(backend, wait=60).sync(rules_of(name, family))
    assert diff(backend.read(), rules_of(name, family)).empty
print("done")
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_libiptc_turns_one_scenario_into_the_next(family: Family, legacy_node: Node) -> None:
    requires("nfacct", "nfacct objects", "python-iptables")
    legacy_node.count_packets()
    names = [name for name in NAMED if "large" not in name][:: 3 if family is Family.IPV4 else 9]

    done = legacy_node.netns.run(
        [sys.executable, "-c", SCENARIOS_BY_LIBIPTC, family.name, *names],
        env={"PYTHONPATH": str(CONFORMANCE.parents[1])},
    )

    assert done.stdout == "done\n"
    last = rules_of(names[-1], family).to_save()
    tables = legacy_node.netns.save(FAMILIES[family])
    kept = tables.replace(f"{FIREWALL_RULE}\n", "")
    assert not differences(
        last.replace(f"{FIREWALL_RULE}\n", ""),
        kept,
        shared=SHARED_CHAINS,
    )


def test_libiptc_gives_exactly_the_state_that_iptables_restore_gives(legacy_node: Node) -> None:
    node = legacy_node
    requires("nfacct", "nfacct objects", "python-iptables")
    node.count_packets()
    for first, name in enumerate(("nodeport-affinity-10s", "loadbalancer-source-ranges")):
        files = CONFORMANCE / "named" / name
        arguments = [
            *("apply", files / "cluster.yaml", "--node", "node1", "--lenient", "--no-prepare"),
            *("--config", files / "kube-proxy.yaml", "--facts", files / "facts.yaml"),
        ]
        if first == 0:
            node.netns.restore(FOREIGN, "IPV4", noflush=True)
        node.nptables(*arguments, "--backend", "iptc", "--wait", "60")
        by_libiptc = {f: node.netns.save(f) for f in FAMILIES.values()}

        again = node.nptables(*arguments, "--backend", "legacy", "--wait", "60")

        assert again.stderr.count("nothing to do") == 2
        assert {f: node.netns.save(f) for f in FAMILIES.values()} == by_libiptc


def test_libiptc_leaves_the_first_of_equal_jumps_too(legacy_node: Node, tmp_path: Path) -> None:
    requires("python-iptables")
    path = manifest(tmp_path / "objects.json", [service(1), endpoints(1, 3)])
    legacy_node.apply(path)
    left = with_scattered_copies(legacy_node, legacy_node.read(), "filter", "FORWARD")

    legacy_node.nptables("apply", path, "--no-prepare", "--backend", "iptc", "--wait", "60")

    assert left == legacy_node.read().lines("filter", "FORWARD")


def test_libiptc_is_refused_where_the_node_uses_nft(nft_node: Node, tmp_path: Path) -> None:
    node = nft_node
    path = manifest(tmp_path / "web.json", [service(1), endpoints(1, 1)])
    node.nptables("apply", path, "--no-prepare")

    done = node.nptables("apply", path, "--no-prepare", "--backend", "iptc", check=False)

    assert done.returncode == 3
    assert "python-iptables changes the legacy tables only" in done.stderr
    assert "Traceback" not in done.stderr
