"""Collecting from a Pod with a real shell and real tables, in a network namespace."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from nptables import Family
from nptables.sources.apiserver import Connection
from nptables.sources.fleet.collecting import CollectOptions, Runtime, collect
from nptables.sources.fleet.folder import Folder
from nptables.sources.fleet.reading import read_snapshot
from tests.support.executing import ExecServer, in_a_shell
from tests.support.fleets import Fleet
from tests.support.netns import network_namespace

pytestmark = pytest.mark.kernel


def _as_in_the_daemon_set() -> list[str]:
    """The words that give a program the capabilities of deploy/collect-daemonset.yaml alone."""
    pod = yaml.safe_load(Path("deploy/collect-daemonset.yaml").read_text())["spec"]["template"]
    added = pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"]
    kept = ",".join(f"+{name.lower()}" for name in added)
    return ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs"]


@pytest.mark.parametrize(
    ("protocol", "confined"),
    [
        ("v4.channel.k8s.io", []),
        ("v5.channel.k8s.io", []),
        ("v5.channel.k8s.io", _as_in_the_daemon_set()),
    ],
)
def test_the_script_reads_a_node_whether_or_not_it_hears_of_the_end_of_its_input(
    protocol: str, confined: list[str], tmp_path: Path
) -> None:
    """The tables that the kernel holds are those of the snapshot, with the backend's name."""
    fleet = Fleet(nodes=1, services=4)
    rules = fleet.rules(0, families=(Family.IPV4,), version="1.27")[0]
    with network_namespace("nft") as namespace:
        inside = ["ip", "netns", "exec", namespace.name]
        text = "\n".join(
            line for line in rules.to_save().splitlines() if "--nfacct-name" not in line
        )
        restore = [*inside, "iptables-nft-restore", "-c"]
        subprocess.run(restore, input=f"{text}\n", text=True, check=True)
        with ExecServer(protocols=(protocol,)) as server:
            server.put(*fleet.objects)
            server.add_pod("node0", in_a_shell([*inside, *confined]))
            config = str(server.kubeconfig(tmp_path / "config"))
            runtime = Runtime(
                lambda: Connection(kubeconfig=config), time.monotonic, time.time, random.random
            )
            folder = Folder(tmp_path / "out")
            (done,) = collect(folder, CollectOptions(seconds=60), runtime, {})
        saved = subprocess.run(
            [*inside, "iptables-nft-save", "-t", "nat"], capture_output=True, text=True, check=True
        ).stdout
    assert (done.record.state, done.record.why) == ("read", "")
    evidence = read_snapshot(folder.node_path("node0")).evidence()  # type: ignore[union-attr]
    nat = next(r for r in evidence.of(Family.IPV4) if r.backend == "nft").tables["nat"]
    lines = [line for line in saved.splitlines() if line.startswith("-A ")]
    assert sorted(lines) == sorted(line for each in nat.chains.values() for line in each)
    assert evidence.facts is not None
