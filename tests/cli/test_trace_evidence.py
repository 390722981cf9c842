"""`nptables trace` with what people have: half a dump, an IPv6 dump, that of one node of two."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

CASES = FIXTURES / "cases"
V6, HALF, TWO = CASES / "v6-dump", CASES / "nat-only", CASES / "nodeport-only-on-pod-node"
POD_NODE_DROPS = (
    "does not arrive: DROP: no rule of filter FORWARD on node-b accepts the packet, and the "
    "chain's policy is DROP"
)


def trace(*arguments: object, to: str, node: str = "node-a") -> int:
    ends = ["--from", "outside", "--to", to, "--node", node]
    return main(["trace", *map(str, arguments), *ends])


def answer(*arguments: object, to: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The first line of the answer."""
    assert trace(*arguments, to=to) == 1
    return capsys.readouterr().out.splitlines()[0]


def hypotheses(
    *arguments: object, to: str, capsys: pytest.CaptureFixture[str]
) -> dict[str, set[str]]:
    """What happens under each hypothesis."""
    assert trace(*arguments, "-o", "json", to=to) == 1
    document = json.loads(capsys.readouterr().out)
    return {
        " and ".join(found["hypotheses"][0]): {o["verdict"] for o in found["outcomes"]}
        for found in document["distributions"]
    }


def not_at_hand(table: str, what: str) -> str:
    return f"table {table} of node-a, whose rules are unknown, {what}"


def passes(table: str) -> str:
    return not_at_hand(table, "lets the packet pass as it is")


def test_an_ipv6_dump_is_known_without_being_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(V6 / "cluster.yaml", "--save", V6 / "dump6.txt", to="nodeport:32000") == 0

    captured = capsys.readouterr()
    assert captured.out.startswith("arrives: ci/reg:reg at [fd00:10:244:1::15]:5000 on node-a")
    assert re.search(r"^note: .*dump6.txt: .* read as IPv6 \(-6\)$", captured.err, re.MULTILINE)


@pytest.mark.parametrize(("to", "options"), [("192.0.2.11:32000", []), ("nodeport:32000", ["-4"])])
def test_an_ipv6_dump_is_not_followed_for_ipv4(
    to: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(V6 / "cluster.yaml", "--save", V6 / "dump6.txt", *options, to=to) == 2
    assert "dump6.txt: these are rules of IPv6, and IPv4 was asked for" in capsys.readouterr().err


def test_an_ipv6_dump_is_compared_with_the_rules_of_ipv6(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["diff", str(V6 / "cluster.yaml"), "--current", str(V6 / "dump6.txt"), "--node", "node-a"])

    shown = capsys.readouterr().out
    # The rules of the Service are the same; read as IPv4, every one would be there twice.
    assert "ci/reg" not in shown


@pytest.mark.parametrize("command", [["check"], ["render", "-o", "restore"]])
def test_every_command_knows_an_ipv6_dump(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    read = ["--current", str(V6 / "dump6.txt"), "--node", "node-a"]

    main([*command, str(V6 / "cluster.yaml"), *read])
    assert "read as IPv6 (-6)" in capsys.readouterr().err
    assert main([*command, str(V6 / "cluster.yaml"), *read, "-4"]) == 2
    assert "these are rules of IPv6, and IPv4 was asked for" in capsys.readouterr().err


def test_without_filter_nothing_arrives_for_sure(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (HALF / "cluster.yaml", "--save", HALF / "dump.txt")

    line = answer(*arguments, to="nodeport:31080", capsys=capsys)
    found = hypotheses(*arguments, to="nodeport:31080", capsys=capsys)

    assert line == (
        "depends: it arrives in some cases and not in others (see below); "
        + not_at_hand("filter", "may stop the packet")
    )
    assert found == {
        passes("filter"): {"endpoint"},
        not_at_hand("filter", "stops the packet"): {"unknown"},
    }


def test_without_nat_it_is_open_where_a_packet_goes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (HALF / "cluster.yaml", "--save", HALF / "filter-only.txt")

    line = answer(*arguments, to="10.244.1.5:8080", capsys=capsys)
    found = hypotheses(*arguments, to="10.244.1.5:8080", capsys=capsys)

    assert line.startswith("depends: ")
    assert found == {
        passes("nat"): {"pod"},
        not_at_hand("nat", "translates the packet"): {"unknown"},
    }


def test_without_nat_no_reason_says_that_nothing_translates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = (HALF / "noep.yaml", "--save", HALF / "filter-only.txt")

    assert trace(*arguments, to="svc:web/shop") == 1

    shown = capsys.readouterr().out
    assert shown.startswith(f"not known: {not_at_hand('nat', 'may translate the packet')}\n")
    assert "without table nat it is unknown whether a rule translates 10.96.20.20:80" in shown
    assert "no rule" not in shown


def test_without_filter_it_is_open_who_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    # No endpoint: kube-proxy refuses in filter, which is not there; in nat there is no rule.
    arguments = (HALF / "noep.yaml", "--save", HALF / "noep-nat.txt")

    line = answer(*arguments, to="nodeport:31080", capsys=capsys)
    found = hypotheses(*arguments, to="nodeport:31080", capsys=capsys)

    assert line == f"not known: {not_at_hand('filter', 'may stop the packet')}"
    assert found == {
        passes("filter"): {"node"},
        not_at_hand("filter", "stops the packet"): {"unknown"},
    }


@pytest.mark.parametrize("table", ["filter", "nat"])
@pytest.mark.parametrize("dump", [HALF / "dump.txt", TWO / "dump-b.txt"])
def test_nothing_arrives_for_sure_through_a_table_that_cannot_be_printed(
    dump: Path, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words are those of iptables-nft-save 1.8.9, beside what else the dump has."""
    said = tmp_path / "dump.txt"
    said.write_text(f"# Table `{table}' is incompatible, use 'nft' tool.\n{dump.read_text()}")

    assert trace(dump.parent / "cluster.yaml", "--save", said, to="nodeport:31080") == 1

    shown = capsys.readouterr().out
    assert not shown.startswith("arrives")
    assert f"table {table} of node-a, which iptables cannot print," in shown


def test_chains_of_nfts_own_that_a_dump_leaves_out_are_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = tmp_path / "dump.txt"
    said.write_text(
        "# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.\n"
        + (TWO / "dump-b.txt").read_text()
    )

    trace(TWO / "cluster.yaml", "--save", said, to="nodeport:31080", node="node-b")

    assert "warning: table filter has chains of nft's own" in capsys.readouterr().err


def test_what_is_assumed_of_another_node_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (TWO / "cluster.yaml", "--save", TWO / "dump-a.txt")

    assert trace(*arguments, to="nodeport:31080") == 0

    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].endswith(
        "; assumed: node-b has the rules that the cluster makes for it, and nothing else there "
        "stops the packet or its answer"
    )
    assert "--other NODE=DUMP" in captured.err


def test_nothing_is_assumed_where_all_rules_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert trace(TWO / "cluster.yaml", to="nodeport:31080") == 0
    assert "taken for granted" not in capsys.readouterr().out


def test_a_drop_in_the_dump_of_the_pods_node_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        TWO / "cluster.yaml",
        "--save", TWO / "dump-a.txt",
        "--other", f"node-b={TWO / 'dump-b.txt'}",
    )  # fmt: skip

    assert answer(*arguments, to="nodeport:31080", capsys=capsys) == POD_NODE_DROPS


def test_the_pods_node_itself_lets_it_through(capsys: pytest.CaptureFixture[str]) -> None:
    dump = TWO / "dump-b.txt"

    assert trace(TWO / "cluster.yaml", "--save", dump, to="nodeport:31080", node="node-b") == 0
    assert "taken for granted" not in capsys.readouterr().out


@pytest.mark.parametrize("other", ["node-c=dump", "node-a=dump", "node-b", "node-b="])
def test_the_dump_of_another_node_needs_its_name(
    other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace(TWO / "cluster.yaml", "--other", other, to="nodeport:31080") == 2
    assert "with one of the other nodes: node-b" in capsys.readouterr().err


def test_the_dump_of_another_node_needs_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    dump = TWO / "dump-a.txt"

    assert trace("--save", dump, "--other", f"node-b={dump}", to="10.96.20.20:80") == 2
    assert "which addresses are on which node" in capsys.readouterr().err


def test_a_hidden_address_of_a_service_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules have it, and nothing tells which one it is there."""
    manifest = (FIXTURES.parent / "docs" / "files" / "one-pod.yaml").read_text()
    assert (
        main(["render", str(FIXTURES.parent / "docs/files/one-pod.yaml"), "--node", "node1"]) == 0
    )
    dump, objects = tmp_path / "dump.txt", tmp_path / "objects.yaml"
    dump.write_text(capsys.readouterr().out)
    objects.write_text(manifest.replace("clusterIP: 10.233.39.47", 'clusterIP: "***HIDDEN***"'))

    by_name = trace(objects, "--save", dump, to="svc:default/nodeport-service", node="node1")
    said = capsys.readouterr().err
    by_port = trace(objects, "--save", dump, to="nodeport:30080", node="node1")

    assert (by_name, by_port) == (2, 0)
    assert "svc:default/nodeport-service: its address is hidden in the objects" in said
