"""Taking a node over from kube-proxy, and handing it back: neither finds anything to do."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset, diff
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.kernel.tables.canaries import missing_rules, plant_canaries
from nptables.translation.owned import cleanup_ownership
from tests.kernel.nodes import Node, rules_of
from tests.support.netns import BACKENDS, LOCK_WAIT, network_namespace
from tests.support.requirements import requires
from tests.support.savetext import SHARED_CHAINS, differences, parse_save
from tests.support.scenarios import CONFORMANCE, NAMED, named_scenario
from tests.support.versions import RECORDED, recordings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import netns as support

pytestmark = pytest.mark.kernel

FAMILIES: dict[Family, support.Family] = {Family.IPV4: "IPV4", Family.IPV6: "IPV6"}
CANARY = "KUBE-PROXY-CANARY"
# What kube-proxy and the kubelet make beside the tables that were recorded.
CANARIES = f"""\
*mangle
:{CANARY} - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
*nat
:{CANARY} - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
*filter
:{CANARY} - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
"""
# A tenth of the features: handing back starts some forty programs a feature.
SOME = NAMED[::10]
BUILT_IN = {chain for chains in BUILT_IN_CHAINS.values() for chain in chains}


@pytest.fixture(scope="module", params=BACKENDS)
def shared_node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """One namespace a backend for all tests here, with the counters that rules name."""
    backend: support.Backend = request.param
    requires("root", "netns", backend, "nfacct", "nfacct objects")
    with network_namespace(backend) as namespace:
        node = Node(namespace)
        node.count_packets()
        namespace.run(["ip", "link", "set", "lo", "up"])
        yield node


@pytest.fixture
def node(shared_node: Node) -> Node:
    """The namespace without any rule and with every policy ACCEPT."""
    for family in FAMILIES.values():
        shared_node.netns.restore(EMPTY, family)
    return shared_node


EMPTY = "".join(
    f"*{table}\n" + "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains) + "COMMIT\n"
    for table, chains in BUILT_IN_CHAINS.items()
    if table in ("mangle", "nat", "filter")
)


def counted(dump: str) -> str:
    """The dump with other counters for every rule, as if each had seen packets."""
    numbers = itertools.count(1)
    return "".join(
        f"[{(n := next(numbers))}:{60 * n}] {line}" if line.startswith("-A ") else line
        for line in dump.splitlines(keepends=True)
    )


def save_with_counters(node: Node, family: Family) -> list[str]:
    done = node.netns.run([node.netns.program(FAMILIES[family], "save"), "-c"])
    return sorted(line for line in done.stdout.splitlines() if not line.startswith("#"))


def load_counted(node: Node, family: Family, name: str) -> list[str]:
    """Load a recorded dump with counters; gives what the kernel then holds."""
    return load_dump_counted(node, family, named_scenario(name).dumps[FAMILIES[family]])


def load_dump_counted(node: Node, family: Family, dump: str) -> list[str]:
    """The same of any dump."""
    if node.netns.backend == "nft" and family is Family.IPV6:
        return load_and_send(node, dump)
    text = counted(dump)
    program = node.netns.program(FAMILIES[family], "restore")
    node.netns.run([program, "-c", "-w", LOCK_WAIT], input=text)
    held = save_with_counters(node, family)
    assert {line for line in text.splitlines() if line.startswith("[")} <= set(held)
    return held


# bash sends one datagram for each of these, with no start of another program.
SEND = "for port in 1 2 3 4 5; do echo x > /dev/udp/::1/4000$port; done"


def load_and_send(node: Node, dump: str) -> list[str]:
    """The same by real packets, since ip6tables-nft-restore 1.8.9 takes no notice of counters."""
    node.netns.restore(dump, "IPV6")
    node.netns.run(["bash", "-c", SEND], check=False)
    held = save_with_counters(node, Family.IPV6)
    assert any(line.startswith("[5:") and "-A OUTPUT" in line for line in held)
    return held


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMED)
def test_taking_over_from_kube_proxy_issues_nothing_and_keeps_the_counters(
    name: str, family: Family, shared_node: Node
) -> None:
    before = load_counted(shared_node, family, name)

    done = shared_node.applier(family).sync(rules_of(name, family))

    assert done.commits == 0
    assert save_with_counters(shared_node, family) == before


# What shows most of the old forms, two for each version in turn; that of every scenario was tried
# once by hand.
TELLING = (
    ("source-ranges-node-inside", "hints-no-annotation"),
    ("source-ranges-zero-and-other", "lb-ipmode"),
    ("slice-upper-case-ipv6", "node-port-addresses-zero-mask-odd"),
)
OLDER = [
    (version, name)
    for position, version in enumerate(RECORDED[:-1])
    for name in TELLING[position % len(TELLING)]
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("version", "name"), OLDER)
def test_taking_over_from_an_older_kube_proxy_issues_nothing_and_keeps_the_counters(
    version: str, name: str, family: Family, shared_node: Node
) -> None:
    scenario = recordings(version)[name].scenario
    before = load_dump_counted(shared_node, family, scenario.dumps[FAMILIES[family]])

    done = shared_node.applier(family).sync(scenario.rules(FAMILIES[family]))

    assert done.commits == 0
    assert save_with_counters(shared_node, family) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_taking_over_leaves_the_canaries_of_kube_proxy_and_kubelet(
    family: Family, node: Node
) -> None:
    name = "nodeport-affinity-10s"
    load_counted(node, family, name)
    node.netns.restore(CANARIES, FAMILIES[family], noflush=True)
    before = save_with_counters(node, family)
    assert sum(line.startswith(f":{CANARY} ") for line in before) == 3

    done = node.applier(family).sync(rules_of(name, family))

    assert done.commits == 0
    assert save_with_counters(node, family) == before


@pytest.mark.parametrize("left_behind", ["", CANARIES], ids=["none", "those-of-kube-proxy"])
@pytest.mark.parametrize("family", FAMILIES)
def test_our_canaries_are_planted_beside_rules_taken_over_and_disturb_none(
    family: Family, left_behind: str, node: Node
) -> None:
    name = "nodeport-affinity-10s"
    rules = rules_of(name, family)
    load_counted(node, family, name)
    if left_behind:
        node.netns.restore(left_behind, FAMILIES[family], noflush=True)
    before = save_with_counters(node, family)
    backend = node.backend(family)
    assert len(missing_rules(backend, rules.ownership)) == 3

    plant_canaries(backend)

    assert missing_rules(backend, rules.ownership) == ()
    assert node.applier(family).sync(rules).commits == 0
    after = save_with_counters(node, family)
    assert [line for line in after if line.startswith("[") and CANARY not in line] == [
        line for line in before if line.startswith("[")
    ]


class KubeProxy:
    """A start of kube-proxy, by the programs that it runs, from what it was recorded to write.

    It makes sure of its canaries, of its chains (-N) and of its jumps (-C, else -I), then feeds
    its chains to iptables-restore. `made` and `inserted` are what it found missing.
    """

    def __init__(self, node: Node, family: Family) -> None:
        self._netns, self._family = node.netns, FAMILIES[family]
        self.made: list[tuple[str, str]] = []
        self.inserted: list[str] = []

    def start(self, dump: str) -> None:
        """Do what kube-proxy does when it starts."""
        recorded = parse_save(dump)
        for table in ("mangle", "nat", "filter"):
            self._ensure_chain(table, CANARY)
        # Each goes to the top, so that the last one recorded is made first.
        for (table, chain), found in recorded.items():
            if chain in BUILT_IN:
                for line in reversed(found.rules):
                    self._ensure_chain(table, line.rpartition(" -j ")[2])
                    self._ensure_jump(table, line)
        own = {key: found for key, found in recorded.items() if key[1] not in BUILT_IN}
        # Where it has no rule for KUBE-FIREWALL it only makes sure that the chain exists.
        firewall = ("filter", "KUBE-FIREWALL")
        if not own[firewall].rules:
            del own[firewall]
        text = ""
        for table in ("filter", "nat"):
            chains = {chain: found for (t, chain), found in own.items() if t == table}
            lines = [f":{chain} - [0:0]" for chain in chains]
            lines += [line for found in chains.values() for line in found.rules]
            text += "\n".join([f"*{table}", *lines, "COMMIT", ""])
        program = self._netns.program(self._family, "restore")
        self._netns.run([program, "-w", LOCK_WAIT, "--noflush", "--counters"], input=text)

    def _ensure_chain(self, table: str, chain: str) -> None:
        done = self._netns.run(self._command(table, "-N", chain), check=False)
        # Exit code 1 is how kube-proxy knows that the chain is there.
        assert done.returncode in (0, 1), done.stderr
        if done.returncode == 0:
            self.made.append((table, chain))

    def _ensure_jump(self, table: str, line: str) -> None:
        words = shlex.split(line)[1:]
        done = self._netns.run(self._command(table, "-C", *words), check=False)
        assert done.returncode in (0, 1), done.stderr
        if done.returncode == 1:
            self._netns.run(self._command(table, "-I", *words))
            self.inserted.append(line)

    def _command(self, table: str, *words: str) -> list[str]:
        return [self._netns.program(self._family), "-w", LOCK_WAIT, "-t", table, *words]


def own_and_recorded(saved: str, dump: str) -> tuple[str, str]:
    """What is held and what was recorded, without canaries and mangle, jumps in no order."""
    texts = []
    for text in (saved, dump):
        chains = {
            key: found
            for key, found in parse_save(text).items()
            if key[0] != "mangle" and key[1] != CANARY
        }
        lines: list[str] = []
        for table in ("nat", "filter"):
            lines.append(f"*{table}")
            mine = {chain: found for (t, chain), found in chains.items() if t == table}
            lines += [f":{chain} {found.declaration}" for chain, found in mine.items()]
            for chain, found in mine.items():
                lines += sorted(found.rules) if chain in BUILT_IN else found.rules
            lines.append("COMMIT")
        texts.append("\n".join(lines) + "\n")
    return texts[0], texts[1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SOME)
def test_handed_back_kube_proxy_finds_everything_as_it_expects(
    name: str, family: Family, node: Node
) -> None:
    dump, rules = named_scenario(name).dumps[FAMILIES[family]], rules_of(name, family)
    assert node.applier(family).sync(rules).commits
    applied = node.netns.save(FAMILIES[family])
    kube_proxy = KubeProxy(node, family)

    kube_proxy.start(dump)

    assert kube_proxy.made == [(table, CANARY) for table in ("mangle", "nat", "filter")]
    assert kube_proxy.inserted == []
    held, wanted = own_and_recorded(node.netns.save(FAMILIES[family]), dump)
    assert not differences(wanted, held, shared=SHARED_CHAINS)
    assert not differences(own_and_recorded(applied, dump)[0], held, shared=SHARED_CHAINS)
    assert diff(node.read(family), rules).empty
    assert node.applier(family).sync(rules).commits == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SOME)
def test_after_cleanup_kube_proxy_starts_as_on_a_new_node(
    name: str, family: Family, node: Node
) -> None:
    dump, rules = named_scenario(name).dumps[FAMILIES[family]], rules_of(name, family)
    node.applier(family).sync(rules)
    plant_canaries(node.backend(family))
    nothing = Ruleset(family, {})
    node.applier(family).apply(diff(node.read(family), nothing, ownership=cleanup_ownership()))
    left = parse_save(node.netns.save(FAMILIES[family]))
    assert {key for key in left if key[1].startswith("KUBE-")} == {("filter", "KUBE-FIREWALL")}
    kube_proxy = KubeProxy(node, family)

    kube_proxy.start(dump)

    recorded = parse_save(dump)
    jumps = [line for key, c in recorded.items() if key[1] in BUILT_IN for line in c.rules]
    # The jumps to KUBE-FIREWALL stay, because the kubelet keeps them as well.
    assert sorted(kube_proxy.inserted) == sorted(j for j in jumps if "KUBE-FIREWALL" not in j)
    held, wanted = own_and_recorded(node.netns.save(FAMILIES[family]), dump)
    assert not differences(wanted, held, shared=SHARED_CHAINS)
    assert diff(node.read(family), rules).empty

    node.netns.restore(dump, FAMILIES[family])

    held, wanted = own_and_recorded(node.netns.save(FAMILIES[family]), dump)
    assert not differences(wanted, held)


def test_the_commands_take_over_hand_back_and_clean_up(node: Node) -> None:
    name = "loadbalancer-source-ranges"
    files, dumps = CONFORMANCE / "named" / name, named_scenario(name).dumps
    inputs = [
        *(files / "cluster.yaml", "--node", "node1", "--lenient"),
        *("--config", files / "kube-proxy.yaml", "--facts", files / "facts.yaml"),
        *("--backend", node.netns.backend),
    ]
    for family, dump in dumps.items():
        node.netns.restore(dump, family)

    taken_over = node.nptables("apply", *inputs, "--no-prepare", "--wait", "60")
    for family in FAMILIES:
        KubeProxy(node, family).start(dumps[FAMILIES[family]])
    handed_back = node.nptables("diff", *inputs, "--live")
    node.nptables("cleanup", "--backend", node.netns.backend, "--wait", "60")
    for family in FAMILIES:
        KubeProxy(node, family).start(dumps[FAMILIES[family]])
    started_anew = node.nptables("diff", *inputs, "--live")

    assert taken_over.stderr.count("nothing to do") == 2
    # Exit code 0, which `nptables()` makes sure of, says the same.
    assert (handed_back.stdout, started_anew.stdout) == ("", "")


def test_the_command_takes_over_from_an_older_kube_proxy(node: Node) -> None:
    """1.28 has source ranges that 1.36 leaves out: what 1.36 would change, 1.28 does not."""
    name = "loadbalancer-source-ranges-any"
    files, dumps = CONFORMANCE / "named" / name, recordings("1.28")[name].scenario.dumps
    inputs = [
        *(files / "cluster.yaml", "--node", "node1", "--lenient"),
        *("--config", files / "kube-proxy.yaml", "--facts", files / "facts.yaml"),
        *("--backend", node.netns.backend),
    ]
    for family, dump in dumps.items():
        node.netns.restore(dump, family)

    upgraded = node.nptables("diff", *inputs, "--live", check=False)
    taken_over = node.nptables(
        *("apply", *inputs, "--no-prepare", "--wait", "60"), "--kube-proxy-version", "v1.28.3"
    )
    handed_back = node.nptables("diff", *inputs, "--live", "--kube-proxy-version", "1.28")

    assert "this looks like kube-proxy 1.27 to 1.33; with --kube-proxy-version" in upgraded.stderr
    assert taken_over.stderr.count("nothing to do") == 2
    assert handed_back.stdout == ""
