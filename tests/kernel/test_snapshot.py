"""Snapshots of namespaces, taken by the command and by the shell script, on both backends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import jsonschema
import pytest

from nptables import Family
from nptables.evidence import Bridge, Evidence, RecentList, Unread
from nptables.evidence.backends import active_rulesets
from nptables.evidence.other_rules import leftovers, running_kube_proxy, unfollowed
from nptables.evidence.snapshot import from_document
from nptables.evidence.snapshot_script import from_marked
from nptables.sources import parse_config
from nptables.translation.flows import Flow
from tests.kernel.nodes import LIBRARY, Node, rules_of
from tests.support.netns import BACKENDS, network_namespace
from tests.support.requirements import requires
from tests.support.writers import committing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel

SCRIPT = Path("deploy/snapshot.sh").resolve()
SCHEMA = json.loads(Path("docs/snapshot.schema.json").read_text())
OTHER = {"legacy": "nft", "nft": "legacy"}
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
UNPRINTABLE = "add rule ip filter FORWARD ct count over 20 drop"
CONFIGURATION = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection:
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  token: hunter2
mode: iptables
hostnameOverride: n1
"""


def by_command(netns: Namespace) -> Evidence:
    document = json.loads(netns.run([*LIBRARY, "snapshot"]).stdout)
    jsonschema.validate(document, SCHEMA)
    return from_document(document)


def by_script(netns: Namespace, shell: str = "dash") -> Evidence:
    return from_marked(netns.run([*SHELLS[shell], SCRIPT]).stdout, parse_config)


def rules(evidence: Evidence) -> dict[tuple[str, Family], Any]:
    """The rules by backend and family; counters of a namespace with interfaces may move."""
    return {
        (r.backend, r.family): {name: (t.chains, t.policies) for name, t in r.tables.items()}
        for r in evidence.rulesets
    }


@pytest.fixture(scope="module", params=BACKENDS)
def furnished(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace with something of everything that a snapshot has; nobody changes it."""
    requires("root", "netns", request.param)
    with network_namespace(request.param) as netns:
        furnish(netns)
        yield netns


@pytest.fixture(scope="module")
def snapshot(furnished: Namespace) -> Evidence:
    """What the command takes of it."""
    return by_command(furnished)


def furnish(netns: Namespace) -> None:
    requires("ip", "nft", "ipset", "conntrack", "nfacct", "bridge", "busybox", OTHER[netns.backend])
    netns.run(["nfacct", "add", "ct_state_invalid_dropped_pkts"])
    netns.run(["nfacct", "add", "localhost_nps_accepted_pkts"])
    netns.restore(rules_of("nodeport-affinity-10s").to_save(), "IPV4")
    netns.restore(rules_of("nodeport-cluster-policy", Family.IPV6).to_save(), "IPV6")
    netns.iptables("IPV4", "-A", "INPUT", "-m", "comment", "--comment", 'a "b"\n*nat', "-j", "DROP")
    other = f"iptables-{OTHER[netns.backend]}"
    netns.run([other, "-w", "60", "-A", "FORWARD", "-s", "10.9.9.9", "-j", "DROP"])
    for words in (
        ["ip", "link", "set", "lo", "up"],
        # Addresses that the kernel makes up come a while after their link.
        ["sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1"],
        ["ip", "link", "add", "cni0", "type", "bridge"],
        ["ip", "address", "add", "10.1.0.1/24", "dev", "cni0"],
        ["ip", "link", "add", "v1", "type", "veth", "peer", "name", "p1"],
        ["ip", "link", "set", "v1", "master", "cni0"],
        ["ip", "link", "set", "p1", "up"],
        ["ip", "link", "set", "v1", "up"],
        ["ip", "link", "set", "cni0", "up"],
        ["ip", "route", "add", "default", "via", "10.1.0.9"],
        ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
        ["ipset", "create", "s", "hash:ip"],
        ["ipset", "add", "s", "192.0.2.1"],
        ["nft", "add table inet fw"],
        ["nft", "add chain inet fw in { type filter hook input priority 0; }"],
        ["nft", "add table ip kube-proxy"],
        ["nft", "add chain ip kube-proxy services"],
        ["conntrack", "-I", "-p", "udp", "-t", "120", "-s", "10.0.0.1", "-d", "10.96.0.10",
         "--sport", "4", "--dport", "53", "--reply-src", "10.1.0.7", "--reply-dst", "10.0.0.1",
         "--reply-port-src", "53", "--reply-port-dst", "4"],
    ):  # fmt: skip
        netns.run(words)
    netns.iptables("IPV4", "-A", "INPUT", "-m", "recent", "--name", "web", "--set")
    recent = "echo +192.0.2.1 > /proc/net/xt_recent/web; echo +192.0.2.2 > /proc/net/xt_recent/web"
    netns.run(["sh", "-c", recent])


def test_a_snapshot_has_everything_of_a_node(furnished: Namespace, snapshot: Evidence) -> None:
    found = snapshot
    backend, other = furnished.backend, OTHER[furnished.backend]
    assert found.gaps == ()
    assert found.unread == ()
    assert {(r.backend, r.family) for r in found.rulesets} == {
        (each, family) for each in (backend, other) for family in Family
    }
    mine = next(r for r in found.of(Family.IPV4) if r.backend == backend)
    assert mine.lines("nat", "KUBE-SERVICES") == rules_of("nodeport-affinity-10s").lines(
        "nat", "KUBE-SERVICES"
    )
    # Both printed with counters, and with what iptables-save has in a comment line.
    assert mine.tables["filter"].line_counters["INPUT"][0].startswith("[")
    assert mine.to_save().startswith("# Generated by ip")
    assert [r.backend for r in active_rulesets(found, Family.IPV4)] == ["legacy", "nft"]
    assert [r.backend for r in active_rulesets(found, Family.IPV6)] == [backend]
    assert found.facts is not None
    assert found.facts.interfaces is not None
    assert found.facts.interfaces["cni0"][0] == "10.1.0.1/24"
    assert found.facts.routes is not None
    assert found.facts.routes[0]["gateway"] == "10.1.0.9"
    assert (found.facts.nfacct, found.facts.random_fully) == (True, True)
    assert found.sysctls is not None
    assert found.sysctls["net/ipv4/ip_forward"] == "1"
    assert "net/ipv4/conf/cni0/rp_filter" in found.sysctls
    assert found.ipset is not None
    assert found.ipset.endswith("add s 192.0.2.1\n")
    assert found.bridges == (Bridge("cni0", ("10.1.0.0/24",), ("v1",)),)
    assert RecentList("web", 2) in (found.recent or ())
    assert found.recent_limit == int(
        Path("/sys/module/xt_recent/parameters/ip_list_tot").read_text()
    )
    assert found.flows == (Flow(("10.96.0.10", 53), ("10.1.0.7", 53), ("10.0.0.1", 4)),)
    assert found.connections is not None
    assert found.connections >= 1
    assert leftovers(found) == ("nft table ip kube-proxy of mode nftables is there",)
    assert unfollowed(found, Family.IPV4) == (
        "nft table inet fw has chains of its own at input, which are not followed",
    )
    assert running_kube_proxy(found) == ""
    assert found.versions is not None
    assert found.versions["iptables"].startswith("iptables v1.")
    assert found.node == os.uname().nodename


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_prints_what_the_command_takes(
    furnished: Namespace, snapshot: Evidence, shell: str
) -> None:
    command, script = snapshot, by_script(furnished, shell)

    assert rules(command) == rules(script)
    for field in ("facts", "node", "sysctls", "ipset", "bridges", "recent", "recent_limit",
                  "flows", "processes", "unread", "gaps"):  # fmt: skip
        assert getattr(command, field) == getattr(script, field), field
    order = [sorted(map(json.dumps, each.native or ())) for each in (command, script)]
    assert order[0] == order[1]
    assert {k: v for k, v in (command.versions or {}).items() if k != "nptables"} == script.versions


def test_a_live_look_is_what_a_snapshot_holds(furnished: Namespace, snapshot: Evidence) -> None:
    code = (
        "import json; from nptables.evidence.snapshot import to_document; "
        "from nptables.kernel.snapshot import take; print(json.dumps(to_document(take())))"
    )
    live = from_document(json.loads(furnished.run([sys.executable, "-c", code]).stdout))

    assert rules(snapshot) == rules(live)
    later = {"rulesets": (), "taken": "", "connections": None}
    assert attrs.evolve(snapshot, **later) == attrs.evolve(live, **later)


def test_of_one_backend_that_is_asked_for_the_other_is_told(furnished: Namespace) -> None:
    backend, other = furnished.backend, OTHER[furnished.backend]
    code = (
        "import json; from nptables import Family; "
        "from nptables.evidence.snapshot import to_document; "
        "from nptables.kernel.snapshot import take; "
        f"found = take(backend='{backend}', families=[Family.IPV4]); "
        "print(json.dumps(to_document(found)))"
    )
    live = from_document(json.loads(furnished.run([sys.executable, "-c", code]).stdout))

    assert [(r.backend, r.family) for r in live.rulesets] == [(backend, Family.IPV4)]
    assert live.unread == (Unread(other, Family.IPV4, ("filter FORWARD",)),)
    assert unfollowed(live, Family.IPV4)[0] == (
        f"the {other} tables hold rules too: filter FORWARD, which are not followed"
    )


def test_tables_that_iptables_cannot_print_are_read_by_parts(nft_node: Node) -> None:
    requires("nft")
    netns = nft_node.netns
    nft_node.count_packets()
    netns.restore(rules_of("nodeport-cluster-policy").to_save(), "IPV4")
    netns.run(["nft", UNPRINTABLE])

    found, script = by_command(netns), by_script(netns)

    (ruleset,) = (r for r in found.of(Family.IPV4) if r.backend == "nft")
    assert ruleset.remarks.unreadable == ("filter",)
    assert "KUBE-FORWARD" in ruleset.tables["filter"].chains
    assert ruleset.lines("nat", "KUBE-SERVICES")
    native = "filter FORWARD holds a native nft rule"
    assert [text for text in unfollowed(found, Family.IPV4) if text.startswith(native)]
    # A shell cannot look chain by chain; it says what is missing.
    assert [text for text in unfollowed(script, Family.IPV4) if text.startswith(native)]
    assert [gap.what for gap in script.gaps] == ["IPv4 nft tables"]


def test_native_chains_in_tables_of_iptables_are_there(nft_node: Node) -> None:
    requires("nft")
    netns = nft_node.netns
    netns.iptables("IPV4", "-A", "INPUT", "-s", "10.0.0.1", "-j", "DROP")
    netns.run(["nft", "add chain ip filter mine { type filter hook forward priority 5; }"])
    netns.run(["nft", "add rule ip filter INPUT ip saddr { 192.0.2.1, 192.0.2.2 } drop"])

    told = unfollowed(by_command(netns), Family.IPV4)

    assert told[0].startswith("filter INPUT holds a native nft rule (handle ")
    assert told[1:] == (
        "nft table ip filter has chains of its own at forward, which are not followed",
    )


@pytest.mark.parametrize("take_it", [by_command, by_script])
def test_what_others_write_meanwhile_never_tears_it(nft_node: Node, take_it: Any) -> None:
    """iptables-nft-save prints chains twice while others write; legacy tables are read at once."""
    with committing(nft_node.netns, 0.01) as writer:
        taken = [take_it(nft_node.netns) for _ in range(2)]

    assert writer.commits > 2
    assert [each.gaps for each in taken] == [(), ()]
    for each in taken:
        (ruleset,) = (r for r in each.of(Family.IPV4) if r.backend == "nft")
        assert ruleset.tables["filter"].chains.keys() >= {"INPUT", "OTHERS"}


@pytest.fixture
def kube_proxy(legacy_node: Node, tmp_path: Path) -> Iterator[int]:
    """A process in the namespace that calls itself kube-proxy, with secrets in its arguments."""
    program, config = tmp_path / "kube-proxy", tmp_path / "a\nb.conf"
    shutil.copy("/bin/dash", program)
    config.write_text(CONFIGURATION)
    named = tmp_path / "config.conf"
    named.symlink_to(config.name)
    argv = [program, "-c", "read line", "name", f"--config={named}", "--token", "hunter2",
            "--header=a\nhunter2", "--hostname-override=n1"]  # fmt: skip
    command = ["ip", "netns", "exec", legacy_node.netns.name, *map(str, argv)]
    environment = {**os.environ, "TOKEN": "hunter2"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        while Path(f"/proc/{process.pid}/comm").read_text() != "kube-proxy\n":
            pass
        yield process.pid
        process.communicate()


def test_the_kube_proxy_that_runs_is_in_it_without_its_secrets(
    legacy_node: Node, kube_proxy: int
) -> None:
    netns = legacy_node.netns
    written = netns.run([*LIBRARY, "snapshot"]).stdout
    text = netns.run(["dash", SCRIPT]).stdout

    found = from_document(json.loads(written))
    (process,) = found.processes or ()
    assert "hunter2" not in written
    assert "hunter2" not in text
    assert "kubeconfig.conf" not in written
    assert (process.name, process.pid) == ("kube-proxy", kube_proxy)
    assert process.arguments[3:] == (
        process.arguments[3], "--token", "(left out)", "--header=(left out)",
        "--hostname-override=n1",
    )  # fmt: skip
    assert process.configuration == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": "n1",
    }
    assert running_kube_proxy(found) == f"kube-proxy (pid {kube_proxy})"
    assert from_marked(text, parse_config).processes == found.processes


def test_an_ordinary_user_gets_what_can_be_had_and_hears_what_is_missing(
    furnished: Namespace,
) -> None:
    requires("setpriv")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

    done = furnished.run([*nobody, *LIBRARY, "snapshot"])
    script = furnished.run([*nobody, "dash", SCRIPT])

    found = from_document(json.loads(done.stdout))
    assert done.returncode == 0
    assert found.facts is not None
    assert found.facts.told == {"interfaces", "routes", "tcpBeLiberal", "randomFully"}
    lacking = {gap.what for gap in found.gaps}
    tables = {f"{f.value} {backend} tables" for f in Family for backend in ("legacy", "nft")}
    assert lacking == {*tables, "native nft tables", "ipset", "nfacct counters",
                       "IPv4 UDP connections"}  # fmt: skip
    for what in lacking:
        assert f"warning: {what}: " in done.stderr
    assert found.ipset is None
    assert found.native is None
    told = from_marked(script.stdout)
    assert {gap.what for gap in told.gaps} >= lacking - {"nfacct counters"}
    assert told.rulesets == ()
    assert "without root" in script.stderr


def test_the_script_needs_nothing_but_sh_iptables_and_coreutils(
    furnished: Namespace, snapshot: Evidence, tmp_path: Path
) -> None:
    backend = furnished.backend
    for name in ("sh", "od", "tr", "cat", "cut", "sort", "date", "id", "readlink", "head", "tail",
                 "wc", "mktemp", "rm", f"iptables-{backend}-save", f"ip6tables-{backend}-save",
                 f"iptables-{OTHER[backend]}-save"):  # fmt: skip
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert found is not None, name
        (tmp_path / name).symlink_to(found)
    bare = tmp_path / "bare.sh"
    text = SCRIPT.read_text()
    bare.write_text(text.replace("PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin", f"PATH={tmp_path}"))

    done = furnished.run([tmp_path / "sh", bare])

    found, whole = from_marked(done.stdout), snapshot
    assert {k: v for k, v in rules(whole).items() if any(v.values())} == {
        k: v for k, v in rules(found).items() if any(v.values())
    }
    assert (found.sysctls, found.bridges) == (whole.sysctls, whole.bridges)
    assert found.facts is not None
    assert whole.facts is not None
    assert found.facts.interfaces is not None
    # The order of addresses and interfaces is that of other files.
    assert {k: set(v) for k, v in found.facts.interfaces.items()} == {
        k: set(v) for k, v in (whole.facts.interfaces or {}).items()
    }
    missing = [line for line in done.stderr.splitlines() if "ipset" in line or "nft " in line]
    assert "warning: ipset: the program ipset is not installed" in missing
    assert "warning: native nft tables: the program nft is not installed" in missing


def test_without_programs_the_command_says_which(nft_node: Node) -> None:
    """PATH is widened by the system's folders, which a mount hides here."""
    hidden = 'mount -t tmpfs none /usr/sbin && exec "$@"'
    done = nft_node.netns.run(
        ["unshare", "-m", "sh", "-c", hidden, "sh", *LIBRARY, "snapshot"], check=False
    )

    found = from_document(json.loads(done.stdout))
    assert done.returncode == 0, done.stderr
    assert found.rulesets == ()
    assert "ipset: the program ipset is not installed" in map(str, found.gaps)
    assert "warning: native nft tables: the program nft is not installed" in done.stderr
    assert found.sysctls
