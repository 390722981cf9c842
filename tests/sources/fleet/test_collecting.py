"""Reading every node of a cluster into a folder, from an API server over real websockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes.stream import ws_client

from nptables import Cluster, Family, Ruleset
from nptables.cli import main
from nptables.errors import ApiServerError
from nptables.sources.apiserver import Connection, Container, execute
from nptables.sources.fleet.collecting import CollectOptions, Runtime, collect
from nptables.sources.fleet.folder import Folder
from nptables.sources.fleet.reading import read_collection, read_snapshot
from tests.support.agents import wait_for
from tests.support.executing import (
    Channels,
    ExecServer,
    floods,
    hangs,
    node_text,
    prints,
    vanishes,
    without_shell,
    writes_garbage,
)
from tests.support.fleets import CONFIG, Fleet

FLEET = Fleet(nodes=4, services=6)


def _server(**settings: Any) -> ExecServer:
    server = ExecServer(token="secret-token", **settings)
    server.put(*FLEET.objects)
    return server


def _text(number: int) -> str:
    return node_text(FLEET.name(number), FLEET.rules(number)[0].to_save())


def _collected(
    server: ExecServer, folder: Path, kubeconfig: Path, **options: Any
) -> dict[str, tuple[str, str]]:
    """What came of each node: the state, and why."""
    written = str(server.kubeconfig(kubeconfig))
    runtime = Runtime(
        lambda: Connection(kubeconfig=written),
        time.monotonic,
        time.time,
        random.random,
    )
    found = collect(Folder(folder), CollectOptions(**{"seconds": 60.0, **options}), runtime, {})
    return {p.node: (p.record.state, p.record.why) for p in found}


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_a_program_runs_over_each_protocol_to_its_end(protocol: str, tmp_path: Path) -> None:
    """Output larger than a frame comes whole, errors beside it, with the exit code."""

    async def program(channels: Channels) -> None:
        await channels.out("x" * 200_000)
        await channels.out("a warning", 2)
        await channels.end(7)

    v4 = "v4.channel.k8s.io"
    # An older client knows v4 alone, which every API server speaks too.
    known = protocol if hasattr(ws_client, "V5_CHANNEL_PROTOCOL") else v4
    with _server(protocols=(protocol, v4)) as server:
        pod = server.add_pod("node0", program)
        connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "config")))
        container = Container("kube-system", pod, "kube-proxy")
        done = execute(connection, container, ["sh", "-c", "a b"], seconds=20)
        assert (
            done.output.decode(),
            done.errors.decode(),
            done.code,
        ) == ("x" * 200_000, "a warning", 7)
        assert [(pod, ["sh", "-c", "a b"])] == server.ran
        assert {known} == server.spoken


@pytest.mark.parametrize(
    ("program", "seconds", "most", "why"),
    [
        (hangs, 3.0, 10**9, "it took longer than 3 seconds"),
        (floods, 3.0, 10**12, "it took longer than 3 seconds"),
        (floods, 20.0, 10**6, "its output is larger than any tables can be"),
        (vanishes, 20.0, 10**9, "the connection (ended before the program|broke off)"),
    ],
)
def test_whatever_a_pod_does_it_ends_in_time(
    program: Any, seconds: float, most: int, why: str, tmp_path: Path
) -> None:
    """One that hangs, writes without an end or is gone is an error soon."""
    with _server() as server:
        pod = server.add_pod("node0", program)
        connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "config")))
        began = time.monotonic()
        with pytest.raises(ApiServerError, match=why):
            execute(
                connection,
                Container("kube-system", pod, "kube-proxy"),
                ["sh"],
                seconds=seconds,
                most=most,
            )
        # One that is awaited to its end takes a minute, or has none.
        assert time.monotonic() - began < 40


def test_every_node_is_read_and_those_that_cannot_be_stop_nobody(tmp_path: Path) -> None:
    """Each ends as what it is; the folder has the nodes that could be read, whole."""
    with _server() as server:
        server.add_pod("node0", prints(_text(0)))
        server.add_pod("node1", hangs)
        server.add_pod("node2", writes_garbage)
        server.add_pod("node3", vanishes)
        found = _collected(server, tmp_path / "out", tmp_path / "config", seconds=6.0)
    assert found["node0"] == ("read", "")
    assert found["node1"] == (
        "unreachable",
        "the API server: it took longer than 6 seconds",
    )
    assert found["node2"][0] == "unreachable"
    assert found["node3"][0] == "unreachable"
    assert [p.name for p in (tmp_path / "out" / "nodes").iterdir()] == ["node0.json.gz"]
    snapshot = read_snapshot(tmp_path / "out" / "nodes" / "node0.json.gz")
    rulesets = snapshot.evidence().rulesets  # type: ignore[union-attr]
    assert FLEET.rules(0)[0].tables == rulesets[0].tables


def test_nothing_secret_gets_into_the_folder(tmp_path: Path) -> None:
    """Neither the token, nor what annotations, labels and environments hold."""
    with _server() as server:
        service = FLEET.service(0)
        service["metadata"]["annotations"] = {"some/note": "hunter2"}
        service["metadata"]["labels"] = {"some/label": "hunter3"}
        server.put(service)
        server.add_pod("node0", prints(_text(0)))
        _collected(server, tmp_path / "out", tmp_path / "config")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(files) == 3
    for file in files:
        raw = file.read_bytes()
        text = gzip.decompress(raw) if file.suffix == ".gz" else raw
        assert b"hunter2" not in text
        assert b"hunter3" not in text
        assert b"secret-token" not in text
    assert (tmp_path / "out" / "nodes").stat().st_mode & 0o777 == 0o700


def test_where_the_image_has_no_shell_each_program_is_run_by_itself(tmp_path: Path) -> None:
    """The tables of both families are there, and a gap says what is not."""
    v4, v6 = FLEET.rules(0)
    outputs = {"iptables-save": v4.to_save(), "ip6tables-save": v6.to_save()}
    with _server() as server:
        server.add_pod("node0", without_shell(outputs))
        found = _collected(server, tmp_path / "out", tmp_path / "config")
    assert found["node0"] == ("read", "")
    evidence = read_snapshot(tmp_path / "out" / "nodes" / "node0.json.gz").evidence()  # type: ignore[union-attr]
    assert [v4.tables, v6.tables] == [ruleset.tables for ruleset in evidence.rulesets]
    assert evidence.processes[0].version == "v1.30.3"
    assert "the image has no shell" in [gap.why for gap in evidence.gaps]


def test_no_more_nodes_than_asked_are_read_at_once(tmp_path: Path) -> None:
    """Of twelve nodes never more than three are read at a time."""

    as_many_as_may_be = asyncio.Event()

    async def slow(channels: Channels) -> None:
        if server.running == 3:
            as_many_as_may_be.set()
        # Nobody is done before that, however slowly they come.
        await as_many_as_may_be.wait()
        await asyncio.sleep(0.1)
        await channels.out(_text(0))
        await channels.end()

    fleet = Fleet(nodes=12, services=2)
    with ExecServer() as server:
        server.put(*fleet.objects)
        for number in range(12):
            server.add_pod(fleet.name(number), slow)
        found = _collected(server, tmp_path / "out", tmp_path / "config", at_once=3)
        assert server.most_running == 3
    assert {"read"} == {state for state, _ in found.values()}


def test_a_second_run_fetches_only_what_is_missing_or_not_whole(tmp_path: Path) -> None:
    """A node that is there is left alone, half a file is fetched anew."""
    with _server() as server:
        for number in (0, 1):
            server.add_pod(FLEET.name(number), prints(_text(number)))
        _collected(server, tmp_path / "out", tmp_path / "config")
        half = tmp_path / "out" / "nodes" / "node1.json.gz"
        half.write_bytes(half.read_bytes()[:200])
        server.ran.clear()
        server.add_pod("node2", prints(_text(2)))
        found = _collected(server, tmp_path / "out", tmp_path / "config")
        assert {"kube-proxy-node1", "kube-proxy-node2"} == {pod for pod, _ in server.ran}
    assert [found[f"node{n}"][0] for n in range(4)] == ["read", "read", "read", "unreachable"]


def test_what_changes_while_nodes_are_read_is_kept_beside_what_was(tmp_path: Path) -> None:
    """The objects are those of before, and each later state of one is there in its order."""
    with _server() as server:
        counts = iter((2, 1))

        async def changing(channels: Channels) -> None:
            for count in counts:
                server.put(FLEET.slice(0, Family.IPV4, count=count))
                await asyncio.sleep(0.3)
            await channels.out(_text(0))
            await channels.end()

        server.add_pod("node0", changing)
        _collected(server, tmp_path / "out", tmp_path / "config")
    found = read_collection(tmp_path / "out")
    assert found is not None
    key = ("team-0", "web-00000-v4")
    assert FLEET.endpoints == len(found.cluster.slices[key].endpoints)
    seen = [(m.key, len(m.value.endpoints)) for m in found.movements]  # type: ignore[union-attr]
    assert [(key, 2), (key, 1)] == seen


def test_a_collection_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """What it had is there after SIGKILL, and only the rest is fetched by the same command."""
    with _server() as server:
        server.add_pod("node0", prints(_text(0)))
        server.add_pod("node1", hangs)
        config = server.kubeconfig(tmp_path / "config")
        out = tmp_path / "out"
        command = [sys.executable, "-m", "nptables", "collect", "-o", str(out)]
        command += ["--kubeconfig", str(config)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        manifest = out / "manifest.json"
        wait_for(
            lambda: (
                manifest.exists()
                and json.loads(manifest.read_text())["nodes"]["node0"]["state"] == "read"
                and server.running == 1
            ),
        )
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        before = json.loads(manifest.read_text())["nodes"]
        assert before["node1"]["state"] == "waiting"
        server.delete("Service", "web-00001", "team-1")
        server.programs["kube-proxy-node1"] = prints(_text(1))
        server.ran.clear()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert {"kube-proxy-node1"} == {pod for pod, _ in server.ran}
    assert done.returncode == 1
    assert "2 nodes are in" in done.stderr
    found = read_collection(out)
    assert found is not None
    # Node 0 was read while the Service was there, so it is known in both of its states.
    assert ("team-1", "web-00001") in found.cluster.services
    assert [m.key for m in found.movements if m.value is None] == [("team-1", "web-00001")]
    assert {"node2", "node3"} == set(found.missing)


def test_ruleset_of_the_text_is_that_of_the_fleet() -> None:
    """The made text of a node has the tables of the made rules."""
    rules = FLEET.rules(0)[0]
    assert rules.tables == Ruleset.from_save(rules.to_save()).tables


def test_nobody_is_accused_while_twenty_endpoints_a_second_change(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each node has the rules of the moment in which it was read, and all of them are right."""
    fleet = Fleet(nodes=8, services=20)
    over = threading.Event()
    chance = random.Random(11)

    def change(server: ExecServer) -> None:
        while not over.wait(0.05):
            number = chance.randrange(fleet.services)
            first, count = chance.randrange(3), chance.randrange(1, 6)
            server.put(fleet.slice(number, Family.IPV4, first=first, count=count))

    def node(number: int) -> Any:
        async def program(channels: Channels) -> None:
            await asyncio.sleep(0.1 * number)
            cluster = Cluster.from_objects(server.objects(), lenient=True)
            rules = fleet.rules(number, cluster, families=(Family.IPV4,))[0]
            await channels.out(node_text(fleet.name(number), rules.to_save()))
            await channels.end()

        return program

    with ExecServer() as server:
        server.put(*fleet.objects)
        for number in range(fleet.nodes):
            server.add_pod(fleet.name(number), node(number), fleet.version(number))
        changing = threading.Thread(target=change, args=(server,))
        changing.start()
        found = _collected(server, tmp_path / "out", tmp_path / "kubeconfig", at_once=2)
        over.set()
        changing.join()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    command = ["audit", "--snapshots", str(tmp_path / "out"), "--config", str(config)]
    code = main([*command, "--workers", "1", "-o", "json"])
    document = json.loads(capfd.readouterr().out)
    assert {state for state, _ in found.values()} == {"read"}
    assert {node["name"]: node["verdict"] for node in document["nodes"]} == {
        fleet.name(number): "ok" for number in range(fleet.nodes)
    }
    assert code == 0
    assert document["summary"]["inFlight"] > 0
