"""Every layout in the table: known by what is in it, and read as what it was made of."""

from __future__ import annotations

import json
import os
import re
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nptables import Family, InvalidInput, load
from nptables.evidence import Form
from nptables.sources import evidence_in, read_evidence
from nptables.sources.bundles import contents_of
from nptables.sources.bundles.finding import read_contents
from nptables.sources.bundles.layouts import LAYOUTS, Holds
from nptables.sources.evidence import read_all_evidence
from tests.support import bundles
from tests.support.bundles import PACKINGS, Node, as_folder, as_tar
from tests.support.scenarios import FIXTURES, named_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from nptables import Ruleset
    from nptables.evidence import Evidence

CASES = FIXTURES / "cases"
SCENARIO = named_scenario("nodeport-dual-stack")
NODE = Node(SCENARIO.dumps)
PART = re.MULTILINE | re.DOTALL
EMPTY = Node({})
ARRANGED: Mapping[str, Callable[[], bundles.Files]] = {
    "sos report": lambda: bundles.sos(EMPTY),
    "EKS log collection": lambda: bundles.eks(NODE),
    "Rancher log collection": lambda: bundles.rancher(NODE),
    "must-gather": lambda: bundles.must_gather(SCENARIO.objects),
    "troubleshoot support bundle": lambda: bundles.troubleshoot(SCENARIO.objects),
    "kubectl cluster-info dump": lambda: bundles.cluster_info([*SCENARIO.objects, POD]),
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web"}},
    "spec": {"nodeName": "node", "containers": []},
    "status": {
        "phase": "Running",
        "podIP": "10.244.1.5",
        "podIPs": [{"ip": "10.244.1.5"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


def packed(folder: Path, files: bundles.Files, packing: str = "tar.gz") -> Path:
    path = folder / "unnamed"
    path.write_bytes(PACKINGS[packing](files))
    return path


def lines_of(ruleset: Ruleset) -> Mapping[tuple[str, str], tuple[str, ...]]:
    return {(t.name, c): lines for t in ruleset.tables.values() for c, lines in t.chains.items()}


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize("layout", [layout.name for layout in LAYOUTS])
def test_a_layout_is_known_by_what_is_in_it(layout: str, tmp_path: Path) -> None:
    """As an archive and as a folder of any name."""
    files = ARRANGED[layout]()
    archive = contents_of(str(packed(tmp_path, files)))
    folder = contents_of(str(as_folder(files, tmp_path / "anything")))

    for contents in (archive, folder):
        assert contents is not None
        assert [layout] == [bundle.layout.name for bundle in contents.bundles]


@pytest.mark.parametrize("make", [bundles.eks, bundles.rancher])
def test_the_dumps_of_both_families_are_the_rules(
    make: Callable[[Node], bundles.Files], tmp_path: Path
) -> None:
    """Line for line, with what the node says of itself besides."""
    evidence = read_evidence(packed(tmp_path, make(NODE)))

    assert Form.SAVED is evidence.form
    for family in Family:
        (expected,) = evidence_in(NODE.dumps[family.name], family).of(family)
        (actual,) = evidence.of(family)
        assert lines_of(expected) == lines_of(actual)
    assert {"ip-10-0-0-7.ec2.internal", "node"} <= {evidence.node, *evidence.aliases}
    assert evidence.facts is not None
    assert evidence.facts.interfaces["eth0"][:1] == ("10.0.0.7/24",)
    assert [process.name for process in evidence.processes or ()] == ["kube-proxy"]
    assert (evidence.processes[0].mode, evidence.processes[0].version) == ("iptables", "v1.29.0")
    assert evidence.sysctls == {"net/ipv4/ip_forward": "1"}


@pytest.mark.parametrize("each", [False, True])
def test_objects_of_a_must_gather_make_the_cluster(*, each: bool, tmp_path: Path) -> None:
    """In lists, or one by one; the time stands in a file above them."""
    loaded = load(packed(tmp_path, bundles.must_gather(SCENARIO.objects, each=each)))

    assert SCENARIO.cluster == loaded.cluster
    assert loaded.taken == "2026-11-29T12:00:00Z"
    assert frozenset({"default"}) == loaded.cluster.backing.namespaces


@pytest.mark.parametrize("bare", [False, True])
def test_objects_of_a_support_bundle_make_the_cluster(*, bare: bool, tmp_path: Path) -> None:
    """Old ones are bare arrays: the name of the folder tells the kind."""
    loaded = load(packed(tmp_path, bundles.troubleshoot(SCENARIO.objects, bare=bare)))

    assert SCENARIO.cluster == loaded.cluster


def test_a_place_in_a_bundle_is_named(tmp_path: Path) -> None:
    """File and line, also in a bare array."""
    for files in (
        bundles.troubleshoot(SCENARIO.objects, bare=True), bundles.must_gather(SCENARIO.objects)
    ):  # fmt: skip
        loaded = load(packed(tmp_path, files))
        found = next(iter(loaded.cluster.services.values()))
        place = loaded.place("Service", found.namespace, found.name, ("spec", "ports"))

        assert place is not None
        file, line, _ = place
        name = file.removeprefix(f"{tmp_path / 'unnamed'}/")
        assert "ports" in files[name].decode().splitlines()[line - 1]


def test_of_a_cluster_info_dump_endpoints_are_those_of_pods(tmp_path: Path) -> None:
    """It has no endpoints: a Service whose Pods it has gets them, of any other nothing is known."""
    selecting = {"app": "web"}
    objects = [
        service("web", selecting), service("other", {"app": "none"}), POD,
        *(o for o in SCENARIO.objects if o["kind"] == "Node"),
    ]  # fmt: skip
    loaded = load(packed(tmp_path, bundles.cluster_info(objects)))

    (slice_,) = loaded.cluster.slices.values()
    assert [endpoint.address for endpoint in slice_.endpoints] == ["10.244.1.5"]
    assert slice_.service_key == ("default", "web")
    assert not loaded.cluster.backing.listed


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "clusterIP": f"10.96.0.{len(name)}",
            "clusterIPs": [f"10.96.0.{len(name)}"],
            "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    }


def test_what_a_host_collector_ran_is_known_by_its_output(tmp_path: Path) -> None:
    """And by the command beside it, which tells family and table."""
    files = {
        **bundles.ran_on_host("/usr/sbin/iptables-save", NODE.dumps["IPV4"], "anything"),
        **bundles.ran_on_host("/usr/sbin/ip6tables-save -c", NODE.dumps["IPV6"], "other"),
        **bundles.ran_on_host("ip address", bundles.ADDRESSES, "addresses"),
        **bundles.ran_on_host("hostname", "worker-2\n", "name"),
        **bundles.ran_on_host("uptime", " 12:00:00 up 9 days\n", "uptime"),
    }
    evidence = read_evidence(packed(tmp_path, files))

    assert evidence.families == (Family.IPV4, Family.IPV6)
    assert evidence.node == "worker-2"
    assert {"lo", "eth0"} == set(evidence.facts.interfaces)


def test_tables_that_were_printed_one_by_one_are_put_together(tmp_path: Path) -> None:
    """Each by a command of its own; tables that were not asked for are unknown."""
    saved = NODE.dumps["IPV4"]
    tables = {text.split("\n")[0][1:]: text for text in re.findall(r"^\*.*?^COMMIT$", saved, PART)}
    files: bundles.Files = {}
    for table in ("nat", "filter"):
        listed = []
        lines = tables[table].split("\n")[1:-1]
        for line in lines:
            chain, policy, *_ = line[1:].split() if line.startswith(":") else ("", "")
            listed.append(
                line if not chain else f"-N {chain}" if policy == "-" else f"-P {chain} {policy}"
            )
        command = f"/usr/sbin/iptables -t {table} -S"
        files |= bundles.ran_on_host(command, "\n".join(listed) + "\n", f"rules-{table}")
    evidence = read_evidence(packed(tmp_path, files))

    (expected,) = evidence_in(saved, Family.IPV4).of(Family.IPV4)
    (actual,) = evidence.of(Family.IPV4)
    wanted = {k: v for k, v in lines_of(expected).items() if k[0] in ("nat", "filter")}
    assert wanted == lines_of(actual)
    assert {"raw", "mangle", "security"} == actual.unshown.tables
    assert [gap.what for gap in evidence.gaps] == ["tables raw, mangle and security"]


def test_files_copied_from_several_nodes_are_of_several_nodes(tmp_path: Path) -> None:
    """The folder is named after the node; without a name it is unknown which is meant."""
    top = "support-bundle-x"
    files = {
        **bundles.troubleshoot(SCENARIO.objects),
        f"{top}/copyFromHost/n1/iptables-save.txt": NODE.dumps["IPV4"].encode(),
        f"{top}/copyFromHost/n2/iptables-save.txt": NODE.dumps["IPV4"].encode(),
    }
    files = {
        name.replace("support-bundle-2026-11-29T12_00_00", top): d for name, d in files.items()
    }
    path = packed(tmp_path, files)

    assert [one.node for one in read_all_evidence(path) or ()] == ["n1", "n2"]
    assert read_evidence(path, node="n2.example.com").node == "n2"
    assert "contains the state of 2 nodes: n1, n2 (choose one with --node)" in refusal(
        lambda: read_evidence(path)
    )


def test_a_bundle_of_several_hosts_holds_several_nodes(tmp_path: Path) -> None:
    """As `sos collect` makes one: an archive of archives."""
    files = {}
    for number in (1, 2):
        report = bundles.rancher(NODE)
        report["./systeminfo/hostname"] = b"worker-%d\n" % number
        files[f"sos-collector/report-{number}.tar.xz"] = PACKINGS["tar.xz"](report)

    assert [one.node for one in read_all_evidence(packed(tmp_path, files)) or ()] == [
        "worker-1",
        "worker-2",
    ]


def test_a_dump_that_is_none_gives_way_to_what_else_is_there(tmp_path: Path) -> None:
    """The collector wrote down that it could not be run; that is said, and so is what lacks."""
    files = bundles.rancher(Node({"IPV4": NODE.dumps["IPV4"], "IPV6": NODE.dumps["IPV6"]}))
    files["./networking/ip6tablessave"] = b"sh: 1: ip6tables-save: not found\n"
    evidence = read_evidence(packed(tmp_path, files))

    assert evidence.families == (Family.IPV4,)
    assert ["ip6tables-save: not found" in str(gap) for gap in evidence.gaps] == [True]


def test_an_empty_dump_is_not_taken_for_empty_tables(tmp_path: Path) -> None:
    """Where a program failed its output is empty too: no verdict may follow from that."""
    files = bundles.eks(Node({"IPV4": ""}))

    assert "in which no rules can be read" in refusal(
        lambda: read_evidence(packed(tmp_path, files))
    )


def test_logs_of_several_nodes_count_where_they_agree(tmp_path: Path) -> None:
    """A server of Rancher's keeps those of all: none may give its node's name to this one."""
    files = bundles.rancher(NODE)
    del files["./systeminfo/ps"]
    other = bundles.LOG + 'I1129 flags.go] FLAG: --hostname-override="other"\n'
    files["./rke2/podlogs/kube-system-kube-proxy-other"] = other.encode()
    agreed = read_evidence(packed(tmp_path, files))
    files["./rke2/podlogs/kube-system-kube-proxy-third"] = other.replace("v1.29", "v1.28").encode()
    torn = read_evidence(packed(tmp_path, files))

    (one,) = agreed.processes or ()
    assert (one.mode, one.version) == ("iptables", "v1.29.0")
    assert "other" not in agreed.aliases
    (one,) = torn.processes or ()
    assert (one.mode, one.version) == ("iptables", "")


def test_a_contradiction_between_dump_and_listing_is_said(tmp_path: Path) -> None:
    """The dump is followed."""
    listing = "Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)\n pkts bytes target prot opt\n"
    files = bundles.eks(Node({"IPV4": NODE.dumps["IPV4"]}, {("IPV4", "nat"): listing}))
    evidence = read_evidence(packed(tmp_path, files))

    assert any("the listing beside the dump has other rules" in gap.why for gap in evidence.gaps)
    (expected,) = evidence_in(NODE.dumps["IPV4"], Family.IPV4).of(Family.IPV4)
    assert lines_of(expected) == lines_of(evidence.of(Family.IPV4)[0])


def test_a_listing_with_fewer_rules_than_were_counted_is_open(tmp_path: Path) -> None:
    """The EKS collector counts them: one that was cut off is known by that."""
    listing = (CASES / "listing-whole" / "listing.txt").read_text()
    nat = re.split(r"^\[root.*\n", listing, flags=re.MULTILINE)[2]
    files = bundles.eks(Node({}, {("IPV4", "nat"): nat}))
    name = "networking/iptables-nat.txt"
    whole = read_evidence(packed(tmp_path, files))
    count = int(files[name].split(b"Rules: ")[1])
    files[name] = files[name].replace(b"Rules: %d" % count, b"Rules: %d" % (count + 1))
    evidence = read_evidence(packed(tmp_path, files))

    assert frozenset() == whole.rulesets[0].unshown.open
    assert frozenset({"nat"}) == evidence.rulesets[0].unshown.open
    assert f"{count} are listed, and {count + 1} were counted" in "".join(map(str, evidence.gaps))


def test_an_archive_in_no_layout_names_those_that_are_known(tmp_path: Path) -> None:
    """And what to do with it."""
    path = packed(tmp_path, {"a/b.txt": b"x"})

    said = refusal(lambda: read_evidence(path))
    assert "is an archive of an unknown kind" in said
    assert "sos report, EKS log collection" in said
    assert not load(path).usable


def test_each_half_says_where_the_other_belongs(tmp_path: Path) -> None:
    """Objects go as FILE, a node's rules with --snapshot."""
    cluster = packed(tmp_path, bundles.must_gather(SCENARIO.objects))
    assert "name it as a FILE" in refusal(lambda: read_evidence(cluster))

    node = packed(tmp_path, bundles.eks(NODE))
    assert [problem.hint.partition(";")[0] for problem in load(node).problems] == [
        "pass it with --snapshot"
    ]


def test_a_broken_off_archive_has_rules_and_no_objects(tmp_path: Path) -> None:
    """Rules that were whole before are used, and the gap said; of objects some may be missing."""
    both = {**bundles.eks(NODE), **bundles.must_gather(SCENARIO.objects), "z": bytes(100_000)}
    path = tmp_path / "cut"
    path.write_bytes(as_tar(both)[:-60_000])

    evidence: Evidence = read_evidence(path)
    assert any("it breaks off" in gap.why for gap in evidence.gaps)
    assert "what is missing is unknown" in str(load(path).problems[0])


def test_a_folder_of_manifests_that_is_arranged_alike_is_no_bundle(tmp_path: Path) -> None:
    """A repository may keep `namespaces/NAME/core/services.yaml`: no server has had those."""
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    files = {"namespaces/web/core/services.yaml": yaml.safe_dump(manifest).encode()}

    assert contents_of(str(as_folder(files, tmp_path / "repository"))) is None


def test_the_newest_of_several_times_is_that_of_the_members(tmp_path: Path) -> None:
    """Where the collector has no file with the time, the archive says when files were written."""
    path = tmp_path / "x"
    path.write_bytes(as_tar(bundles.eks(NODE), modified=1_700_000_000))

    assert read_evidence(path).taken == "2023-11-14T22:13:20Z"


def test_a_kube_proxy_config_map_is_used_and_others_are_left(tmp_path: Path) -> None:
    """Other ConfigMaps are not read."""
    settings = {**SCENARIO.config, "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration"}  # fmt: skip
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "data": data,
         "metadata": {"name": name, "namespace": "kube-system"}}
        for name, data in (("secret", {"a": "b"}), ("kube-proxy", {"c": json.dumps(settings)}))
    ]  # fmt: skip
    loaded = load(packed(tmp_path, bundles.must_gather([*SCENARIO.objects, *maps])))

    assert SCENARIO.config["hostnameOverride"] == loaded.proxy_config["hostnameOverride"]
    assert dict(loaded.ignored) == {}


def test_memory_does_not_grow_with_what_is_not_needed(tmp_path: Path) -> None:
    """64 MiB of logs around the rules of a report, packed: all but the rules is passed over."""
    path = tmp_path / "report"
    logs = {f"sosreport-x/var/log/messages-{n}": bytes(16 * 2**20) for n in range(4)}
    files = {**dict(list(logs.items())[:2]), **bundles.eks(NODE), **dict(list(logs.items())[2:])}
    path.write_bytes(PACKINGS["tar.xz"](files))

    tracemalloc.start()
    try:
        contents = read_contents(str(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [len(bundle.of(Holds.DUMP)) for bundle in contents.bundles] == [2]
    assert peak < 8 * 2**20


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Such as `--snapshot <(iptables-save)`: it is read only once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(NODE.dumps["IPV4"],))
    writer.start()
    evidence = read_evidence(pipe)
    writer.join()

    assert evidence.families == (Family.IPV4,)
