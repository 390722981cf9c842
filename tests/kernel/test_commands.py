"""The commands that change a node: cleanup, confirm, refusals, each in words and exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables import Family, Ruleset
from tests.kernel.nodes import (
    LIBRARY,
    NODE,
    Node,
    endpoints,
    foreign_part,
    manifest,
    rules_for,
    service,
)
from tests.support import agents
from tests.support.requirements import requires
from tests.support.savetext import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import netns as support

pytestmark = pytest.mark.kernel

# What a kubelet and others leave on a node, with a canary of kube-proxy's in each table.
BESIDE = """\
*mangle
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
*nat
:KUBE-PROXY-CANARY - [0:0]
:MY-NAT - [0:0]
-A PREROUTING -p tcp -m tcp --dport 8080 -j MY-NAT
COMMIT
*filter
:KUBE-PROXY-CANARY - [0:0]
:KUBE-FIREWALL - [0:0]
-P INPUT DROP
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A FORWARD -i eth9 -j DROP
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate DNAT -j DROP
COMMIT
"""
ONE_RULE = "*mangle\n-A OUTPUT -j ACCEPT\nCOMMIT\n"
FAMILIES: dict[Family, support.Family] = {Family.IPV4: "IPV4", Family.IPV6: "IPV6"}


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return manifest(tmp_path / "web.json", [service(1), endpoints(1, 2), service(2)])


def ours(ruleset: Ruleset) -> list[str]:
    names = [f"{t.name} {c}" for t in ruleset.tables.values() for c in t.chains if "KUBE" in c]
    return sorted(names)


def test_cleanup_removes_all_that_is_ours_and_nothing_else_twice_in_a_row(
    node: Node, web: Path
) -> None:
    node.netns.restore(BESIDE, "IPV4", noflush=True)
    foreign = foreign_part(node.read())
    node.apply(web)

    first = node.nptables("cleanup")
    second = node.nptables("cleanup")

    assert second.stderr.count("there is nothing to remove") == 2
    assert "chains deleted" in first.stderr
    held = node.read()
    assert ours(held) == [
        "filter KUBE-FIREWALL",
        "mangle KUBE-IPTABLES-HINT",
        "mangle KUBE-KUBELET-CANARY",
    ]
    assert foreign_part(held) == foreign
    assert held.lines("filter", "INPUT") == ("-A INPUT -j KUBE-FIREWALL",)
    assert held.tables["filter"].policies["INPUT"] == "DROP"


def test_cleanup_reports_a_chain_that_a_foreign_rule_uses_and_empties_it(
    node: Node, web: Path
) -> None:
    node.apply(web, "-4")
    node.netns.iptables("IPV4", "-t", "nat", "-A", "OUTPUT", "-o", "eth9", "-j", "KUBE-NODEPORTS")
    node.netns.iptables("IPV4", "-t", "nat", "-A", "OUTPUT", "-o", "eth8", "-j", "KUBE-MARK-MASQ")

    done = node.nptables("cleanup", "-4")

    held = node.read()
    assert ours(held) == ["filter KUBE-FIREWALL", "nat KUBE-MARK-MASQ", "nat KUBE-NODEPORTS"]
    assert held.lines("nat", "KUBE-NODEPORTS") == ()
    assert held.lines("nat", "KUBE-MARK-MASQ") != ()
    assert "nat KUBE-NODEPORTS stays, because others use it: -A OUTPUT -o eth9" in done.stderr


def test_diff_and_dry_run_change_nothing_and_exit_1(node: Node, web: Path) -> None:
    before = [node.netns.save(family) for family in FAMILIES.values()]

    live = node.nptables("diff", web, "--live", check=False)
    dry = node.nptables("apply", web, "--dry-run", check=False)

    assert (live.returncode, dry.returncode) == (1, 1)
    assert "+-A KUBE-NODEPORTS -p tcp" in live.stdout
    assert "+-A KUBE-NODEPORTS -p tcp" in dry.stdout
    assert [node.netns.save(family) for family in FAMILIES.values()] == before


def test_what_packets_notice_is_said_before_anything_is_written(node: Node, web: Path) -> None:
    """The node has only loopback addresses, and the endpoints of web2 are unknown."""
    before = [node.netns.save(family) for family in FAMILIES.values()]

    live = node.nptables("diff", web, "--live", "--effects", check=False)
    dry = node.apply(web, "--dry-run", "--effects", check=False)

    assert (live.returncode, dry.returncode) == (1, 1)
    assert live.stdout == dry.stdout
    assert (
        "ns/web1 node port 127.0.0.1:30001 on node1, from this node: was left to the node itself, "
        "now sent to 2 endpoints, source hidden\n"
    ) in dry.stdout
    assert "now not known (its endpoints are unknown" in dry.stdout
    assert [node.netns.save(family) for family in FAMILIES.values()] == before

    done = node.apply(web, "--confirm", "1", check=False)
    assert done.stderr.index("effect: ns/web") < done.stderr.index("applied; press Enter")


def test_looking_at_a_node_creates_no_legacy_table(nft_node: Node, web: Path) -> None:
    nft_node.nptables("diff", web, "--live", check=False)

    for name in ("ip_tables_names", "ip6_tables_names"):
        assert nft_node.netns.run(["cat", f"/proc/net/{name}"], check=False).stdout == ""


def test_a_dump_from_any_node_is_compared_without_the_kernel(web: Path, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    rules = rules_for([service(1), endpoints(1, 2), service(2)])
    dump.write_text(rules.to_save())

    same = subprocess.run(
        [*LIBRARY, "diff", web, "--current", dump], capture_output=True, text=True, check=False
    )
    dump.write_text(rules.to_save().replace("10.201.1.2:8080", "10.201.1.9:8080", 1))

    assert (same.returncode, same.stdout) == (0, "")


def test_two_sets_of_manifests_are_compared_and_annotated(tmp_path: Path) -> None:
    old = manifest(tmp_path / "old.json", [service(1), endpoints(1, 1)])
    new = manifest(tmp_path / "new.json", [service(1), endpoints(1, 2), service(2)])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*LIBRARY, "diff", old, new, "--node", "node1", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    text, github = run(), run("-o", "github")

    assert (text.returncode, github.returncode) == (1, 1)
    assert "# ns/web2\n" in text.stdout
    # One REJECT rule for the cluster IP and one for the node port, as nothing serves web2.
    assert ",title=nptables IPv4::ns/web2: 2 rules added, 0 removed\n" in github.stdout
    assert run("--live", "--current", "x").returncode == 2


def test_annotations_name_the_file_and_line_of_the_object_that_changed(tmp_path: Path) -> None:
    changed, added, gone = service(1), service(2), service(3)
    before = [gone, changed, endpoints(1, 1), service(4)]
    after = [added, changed, endpoints(1, 2), {**service(4), **node_port(4, 31000)}]
    paths = []
    for name, objects in (("old", before), ("new", after)):
        folder = tmp_path / f"{name}, 100%: a"
        folder.mkdir()
        paths.append(folder / "web.yaml")
        documents = "---\n".join(json.dumps(each) + "\n" for each in [NODE, *objects])
        paths[-1].write_text(documents)

    done = subprocess.run(
        [*LIBRARY, "diff", *paths, "--node", "node1", "-o", "github", "-4"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1, done.stderr
    old, new = (f"file={tmp_path}/{name}%2C 100%25%3A a/web.yaml" for name in ("old", "new"))
    found = {
        line.split("::")[2].split(":")[0]: line.split("::")[1].removeprefix("warning ")
        for line in done.stdout.splitlines()
    }
    # With a separator between them, the n-th document is on line 2n - 1.
    title = "title=nptables IPv4"
    assert found == {
        "ns/web1": f"{new},line=7,{title}",
        "ns/web2": f"{new},line=3,{title}",
        "ns/web3": f"{old},line=3,{title}",
        "ns/web4": f"{new},line=9,{title}",
    }


def test_annotations_beside_a_dump_name_the_service_in_the_manifests(tmp_path: Path) -> None:
    web = tmp_path / "web.yaml"
    web.write_text("---\n".join(json.dumps(each) + "\n" for each in [NODE, service(1)]))
    dump = tmp_path / "dump"
    # What is in no manifest has no place, and what is in one has it.
    dump.write_text(rules_for([service(2)]).to_save())

    done = subprocess.run(
        [*LIBRARY, "diff", web, "--current", dump, "-o", "github"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        f"::warning file={web},line=3,title=nptables IPv4::ns/web1: 2 rules added, 0 removed",
        "::warning title=nptables IPv4::ns/web2: 0 rules added, 2 removed",
    ]


def node_port(number: int, port: int) -> dict[str, object]:
    spec = service(number)["spec"]
    return {"spec": {**spec, "ports": [{**spec["ports"][0], "nodePort": port}]}}


@pytest.fixture
def fake_kube_proxy(node: Node, tmp_path: Path) -> Iterator[None]:
    program = tmp_path / "kube-proxy"
    program.symlink_to("/bin/sleep")
    enter = ["ip", "netns", "exec", node.netns.name]
    process = subprocess.Popen([*enter, str(program), "600"])
    try:
        name = Path(f"/proc/{process.pid}/comm")
        agents.wait_for(lambda: name.read_text() == "kube-proxy\n")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("fake_kube_proxy")
def test_a_running_kube_proxy_is_refused_unless_forced(node: Node, web: Path) -> None:
    refused = node.nptables("apply", web, "--no-prepare", check=False)
    forced = node.nptables("apply", web, "--no-prepare", "--force")

    assert refused.returncode == 3
    assert "kube-proxy (pid " in refused.stderr
    assert "--force" in refused.stderr
    assert "chains created" in forced.stderr


def test_both_backends_with_service_chains_are_refused_unless_told_which(
    legacy_node: Node, web: Path
) -> None:
    for backend in ("legacy", "nft"):
        legacy_node.nptables("apply", web, "-4", "--no-prepare", "--backend", backend)

    refused = legacy_node.nptables("diff", web, "-4", "--live", check=False)
    told = legacy_node.nptables("diff", web, "-4", "--live", "--backend", "legacy")
    legacy_node.nptables("cleanup", "-4")

    assert refused.returncode == 3
    assert "both the legacy and the nft tables" in refused.stderr
    assert told.returncode == 0
    assert ours(legacy_node.read()) == ["filter KUBE-FIREWALL"]
    saved = legacy_node.netns.run(["iptables-nft-save"]).stdout
    assert "KUBE-SVC" not in saved


@pytest.mark.parametrize(
    ("rules", "other"),
    [
        ("*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n", ONE_RULE),
        ("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n", ""),
        (
            "*nat\n:KUBE-SVC-ABCDEFGHIJKLMN23 - [0:0]\nCOMMIT\n",
            "*nat\n-A OUTPUT -j ACCEPT\nCOMMIT\n",
        ),
        (
            "*nat\n-A OUTPUT -j ACCEPT\n-A OUTPUT -j ACCEPT\nCOMMIT\n",
            "*nat\n-A OUTPUT -j ACCEPT\nCOMMIT\n",
        ),
    ],
    ids=["kubelet-canary", "kubelet-hint", "our-chains", "more-rules"],
)
def test_the_backend_is_the_one_that_the_node_uses(
    rules: str, other: str, node: Node, web: Path
) -> None:
    node.netns.restore(rules, "IPV4", noflush=True)
    if other:
        unused = "nft" if node.netns.backend == "legacy" else "legacy"
        node.netns.run([f"iptables-{unused}-restore", "-w", "60"], input=other)

    done = node.nptables("apply", web, "-4", "--no-prepare")

    assert f"IPv4 ({node.netns.backend}): " in done.stderr


def test_native_nft_rules_are_named(nft_node: Node, web: Path) -> None:
    nft_node.netns.iptables("IPV4", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-j", "RETURN")
    quiet = nft_node.nptables("diff", web, "--live", "-4", check=False)
    nft_node.netns.run(["nft", "add set ip nat blocked { type ipv4_addr; }"])
    nft_node.netns.run(["nft", "add rule ip nat PREROUTING ip saddr @blocked counter drop"])

    loud = nft_node.nptables("diff", web, "--live", "-4", check=False)

    assert "native" not in quiet.stderr
    assert loud.stderr.count("nat PREROUTING holds a native nft rule") == 1


def saved(node: Node) -> str:
    return node.netns.save("IPV4")


def wait_for(node: Node, text: str, *, seconds: float = agents.LIMIT) -> str:
    """What the tables hold once they equal a text, or at last."""
    until = time.monotonic() + seconds
    while differences(text, found := saved(node)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.fixture
def base(node: Node, tmp_path: Path) -> str:
    """The state before the change that is to be confirmed."""
    path = manifest(tmp_path / "base.json", [service(1), endpoints(1, 1)])
    node.apply(path)
    return saved(node)


def start_apply(node: Node, web: Path, seconds: float) -> subprocess.Popen[str]:
    """Start `apply --confirm` and wait until it says that it applied."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", node.netns.name, *LIBRARY, "apply", str(web), "--no-prepare",
         "--backend", node.netns.backend, "--confirm", str(seconds)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "press Enter within" in line:
            return process
    message = "apply did not wait for a confirmation"
    raise AssertionError(message)


def test_what_is_not_confirmed_is_taken_back(node: Node, web: Path, base: str) -> None:
    done = node.apply(web, "--confirm", "1", check=False)

    assert done.returncode == 1
    assert "not confirmed: the changes were rolled back" in done.stderr
    assert not differences(base, saved(node))


LOCALNET = "/proc/sys/net/ipv4/conf/all/route_localnet"
LIBERAL = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"
CLOSE_WAIT = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"
SETTINGS = (LOCALNET, LIBERAL, CLOSE_WAIT)


@pytest.fixture
def settings(node: Node, tmp_path: Path) -> Path:
    """A configuration that changes three sysctls of a namespace where they are 0, 0 and 77."""
    for path, value in zip(SETTINGS, (0, 0, 77), strict=True):
        node.netns.run(["sh", "-c", f"echo {value} > {path}"])
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "conntrack: {maxPerCore: 0, tcpBeLiberal: true, tcpEstablishedTimeout: 0s, "
        "tcpCloseWaitTimeout: 99s}\n"
    )
    return config


def held_settings(node: Node) -> list[str]:
    return node.netns.run(["cat", *SETTINGS]).stdout.split()


def test_sysctls_are_taken_back_with_the_rules(node: Node, web: Path, settings: Path) -> None:
    arguments = ("apply", web, "--config", settings, "--backend", node.netns.backend, "-4")
    done = node.nptables(*arguments, "--confirm", "1", check=False)

    assert done.returncode == 1, done.stderr
    for name in ("route_localnet set to 1 (was 0)", "close_wait set to 99 (was 77)"):
        assert name in done.stderr
    assert held_settings(node) == ["0", "0", "77"]
    assert not ours(node.read())

    node.nptables(*arguments)
    assert held_settings(node) == ["1", "1", "99"]


def test_sysctls_alone_wait_to_be_confirmed_too(node: Node, web: Path, settings: Path) -> None:
    arguments = ("apply", web, "--config", settings, "--backend", node.netns.backend, "-4")
    node.nptables(*arguments)
    node.netns.run(["sh", "-c", f"echo 0 > {LOCALNET}"])
    rules = saved(node)

    changed = node.nptables(*arguments, "--confirm", "1", check=False)
    unchanged = node.nptables(*arguments, "--no-prepare", "--confirm", "60")

    assert changed.returncode == 1
    assert held_settings(node) == ["0", "1", "99"]
    assert saved(node) == rules
    assert "press Enter" not in unchanged.stderr


@pytest.mark.parametrize("refused", [("IPV6",), ("IPV4", "IPV6")])
def test_sysctls_stay_only_with_the_rules_of_a_family(
    refused: tuple[support.Family, ...], node: Node, web: Path, settings: Path, tmp_path: Path
) -> None:
    """Without its rules route_localnet lets others reach what listens on 127.0.0.1."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for family in refused:
        program = programs / node.netns.program(family, "restore")
        program.write_text("#!/bin/sh\necho 'it is refused' >&2\nexit 2\n")
        program.chmod(0o755)
    done = node.nptables(
        *("apply", web, "--config", settings, "--backend", node.netns.backend),
        check=False,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
    )

    assert done.returncode == 3
    assert "it is refused" in done.stderr
    none = "IPV4" in refused
    assert ("the sysctls are as they were before" in done.stderr) is none
    assert held_settings(node) == (["0", "0", "77"] if none else ["1", "1", "99"])
    assert bool(ours(node.read())) is not none


def test_what_another_shell_confirms_stays(node: Node, web: Path, base: str) -> None:
    process = start_apply(node, web, 60)
    changed = saved(node)

    confirmed = node.nptables("confirm")
    process.communicate(timeout=agents.LIMIT)

    assert confirmed.stderr == "note: confirmed: the changes stay\n"
    assert process.returncode == 0
    assert differences(base, changed)
    assert not differences(changed, saved(node))


def test_what_a_killed_command_and_a_lost_terminal_leave_is_taken_back(
    node: Node, web: Path, base: str
) -> None:
    process = start_apply(node, web, 2)
    os.killpg(process.pid, signal.SIGHUP)
    process.kill()
    process.communicate()

    assert not differences(base, wait_for(node, base))


def test_enter_on_the_terminal_confirms(node: Node, web: Path, base: str) -> None:
    ours_end, terminal = pty.openpty()
    command = ["ip", "netns", "exec", node.netns.name, *LIBRARY, "apply", str(web)]
    process = subprocess.Popen(
        [*command, "--no-prepare", "--backend", node.netns.backend, "--confirm", "60"],
        stdin=terminal, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        assert process.stderr is not None
        while "press Enter within" not in process.stderr.readline():
            assert process.poll() is None
        os.write(ours_end, b"\n")
        process.communicate(timeout=agents.LIMIT)
    finally:
        process.kill()
        os.close(ours_end)

    assert process.returncode == 0
    assert differences(base, saved(node))


def test_only_one_change_waits_to_be_confirmed(node: Node, web: Path, base: str) -> None:
    process = start_apply(node, web, 60)
    more = web.with_name("more.json")
    manifest(more, [service(1), endpoints(1, 3), service(3)])

    second = node.apply(more, "--confirm", "60", check=False)
    node.nptables("confirm")
    process.communicate(timeout=agents.LIMIT)

    assert base
    assert second.returncode == 4
    assert "still waits to be confirmed" in second.stderr


def test_nothing_to_confirm_is_said(node: Node) -> None:
    done = node.nptables("confirm", check=False)

    assert done.returncode == 2
    assert "nothing waits to be confirmed" in done.stderr


@pytest.mark.parametrize("backend", ["legacy", "nft", "iptc"])
def test_without_the_rights_of_root_one_sentence_says_so(
    backend: str, node: Node, web: Path
) -> None:
    # In a user namespace of its own a process has no rights over the network namespace. It does not
    # see which namespace another's kube-proxy is in either, so it is told not to mind one.
    command = [*LIBRARY, "apply", web, "--no-prepare", "-4", "--backend", backend, "--force"]

    done = node.netns.run(["unshare", "-U", *command], check=False)

    assert done.returncode == 3, done.stderr
    assert "root" in done.stderr or "Permission denied" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.stderr


def test_without_iptables_one_sentence_says_what_to_install(node: Node, web: Path) -> None:
    # A mount namespace in which nothing is in the folders that hold system programs.
    hide = 'mount -t tmpfs none /usr/sbin && mount -t tmpfs none /usr/local/sbin && exec "$@"'
    done = node.netns.run(
        ["unshare", "-m", "sh", "-c", hide, "sh", *LIBRARY, "apply", web, "--no-prepare", "-4"],
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "is not installed" in done.stderr
    assert "Debian: iptables" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_proc_is_a_warning_and_the_rules_are_applied(node: Node, web: Path) -> None:
    freeze = (
        "mount -o remount,ro,bind /proc/sys 2>/dev/null || mount -o ro,bind /proc/sys /proc/sys"
    )
    done = node.netns.run(
        ["unshare", "-m", "sh", "-c", f'{freeze}; exec "$@"', "sh", *LIBRARY, "apply", web, "-4"],
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "net.ipv4.conf.all.route_localnet could not be set to 1: Read-only" in done.stderr
    assert "chains created" in done.stderr


def with_full_run(node: Node, inodes: int, *arguments: str | Path) -> str:
    """Run a command that is to fail while /run takes only so many files; gives what it said."""
    fill = f'mount -t tmpfs -o size=4k,nr_inodes={inodes} none /run && exec "$@"'
    shell = ["unshare", "-m", "sh", "-c", fill, "sh"]
    done = node.netns.run([*shell, *LIBRARY, *arguments], check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0]


@pytest.mark.parametrize("backend", ["legacy", "iptc"])
def test_a_full_disk_for_the_lock_is_one_sentence_and_changes_nothing(
    backend: str, legacy_node: Node, web: Path
) -> None:
    node = legacy_node
    if backend == "iptc":
        requires("python-iptables")
    node.netns.run(["sh", "-c", f"echo 0 > {LOCALNET}"])

    # The folder itself is the one file that it takes.
    said = with_full_run(node, 1, "apply", web, "--backend", backend)

    assert "No space left on device" in said
    assert "xtables.lock" in said
    assert held_settings(node)[0] == "0"
    assert not ours(node.read())


@pytest.mark.parametrize("inodes", [1, 2], ids=["no-folder", "no-socket"])
def test_a_full_disk_for_what_is_to_be_confirmed_changes_nothing(
    inodes: int, node: Node, web: Path, settings: Path
) -> None:
    arguments = ("apply", web, "--config", settings, "--backend", node.netns.backend)

    said = with_full_run(node, inodes, *arguments, "--confirm", "60")

    assert "changes cannot be guarded: /run/nptables" in said
    assert "No space left on device" in said
    assert held_settings(node) == ["0", "0", "77"]
    assert not ours(node.read())


def test_nft_needs_no_lock_file_and_applies_on_a_full_disk(nft_node: Node, web: Path) -> None:
    fill = 'mount -t tmpfs -o size=4k,nr_inodes=1 none /run && exec "$@"'
    shell = ["unshare", "-m", "sh", "-c", fill, "sh"]

    nft_node.netns.run([*shell, *LIBRARY, "apply", web, "--no-prepare", "-4", "--backend", "nft"])

    assert "nat KUBE-SERVICES" in ours(nft_node.read())


@pytest.mark.parametrize(
    ("redirection", "codes"),
    [
        ("| head -1 >/dev/null", [1, 1, 1]),
        (">/dev/full", [3, 3, 3]),
        (">&-", [3, 3, 3]),
        ("2>&-", [1, 1, 1]),
    ],
)
def test_what_a_node_was_found_to_differ_in_is_the_code_although_nobody_reads_it(
    nft_node: Node, web: Path, redirection: str, codes: list[int]
) -> None:
    nft_node.apply(web, "-4")
    python = " ".join(LIBRARY)
    runs = (
        f"{python} {command} {redirection}; printf '%s ' ${{PIPESTATUS[0]}} >&3"
        for command in (
            "cleanup --dry-run -4",
            f"diff {web.parent}/other.json --live -4",
            f"apply {web.parent}/other.json --dry-run --no-prepare -4",
        )
    )
    manifest(web.parent / "other.json", [service(3)])

    done = nft_node.netns.run(["bash", "-c", f"{{ {'; '.join(runs)}; }} 3>{web.parent}/codes"])

    assert [int(code) for code in (web.parent / "codes").read_text().split()] == codes
    assert "internal error" not in done.stderr


ELSEWHERE = "the node's rules seem to come from another configuration, with "


def test_a_dump_right_after_apply_shows_no_drift_on_any_machine(
    node: Node, web: Path, tmp_path: Path
) -> None:
    node.nptables("apply", web, "--backend", node.netns.backend)

    for option, family in (("-4", "IPV4"), ("-6", "IPV6")):
        dump = tmp_path / family
        dump.write_text(node.netns.run([node.netns.program(family, "save")]).stdout)
        done = node.nptables("diff", web, "--current", dump, option)

        assert (done.returncode, done.stdout) == (0, "")


def test_a_live_comparison_names_the_configuration_that_the_node_was_made_with(
    node: Node, web: Path, tmp_path: Path
) -> None:
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "iptables: {masqueradeAll: true, masqueradeBit: 5}\n"
    )
    node.apply(web, "--config", str(config))
    live = ("diff", web, "--live", "--backend", node.netns.backend)

    without, given = node.nptables(*live, check=False), node.nptables(*live, "--config", config)

    assert (without.returncode, given.returncode) == (1, 0)
    fields = "iptables.masqueradeBit: 5, iptables.masqueradeAll: true"
    assert f"warning: {ELSEWHERE}{fields}: pass the node's own with --config\n" in without.stderr
    assert ELSEWHERE not in given.stderr


def test_apply_names_services_whose_endpoints_were_left_out(nft_node: Node) -> None:
    """Their rules lack those endpoints, and refuse where there are no others."""
    case = Path("fixtures/cases/old-objects/cluster.yaml").resolve()
    done = nft_node.apply(case, "--lenient", "--dry-run", "-4", check=False)
    assert done.returncode == 1
    assert "warning: web/shop: not all endpoints are known: EndpointSlice web/shop-x" in done.stderr
