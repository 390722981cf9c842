"""`nptables check`, and what `diff`, `trace` and `render` say of the same things."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nptables.cli import main
from tests.support.scenarios import CONFORMANCE, FIXTURES
from tests.tracing.test_reasons import NODES, ON_BOTH, endpoint_slice, service

CASES = "fixtures/cases"
TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
UDP = f"{CASES}/udp-stale"
OLD = f"{CASES}/old-objects/cluster.yaml"
HAIRPIN = f"{CASES}/hairpin"
FILTER_ONLY = f"{CASES}/nat-only/filter-only.txt"


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    main(["check", *arguments, "-o", "json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return found


def codes(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    return [finding["code"] for finding in findings(capsys, *arguments)]


def test_one_finding_is_one_and_two_are_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{CASES}/no-nodename/cluster.yaml"]) == 1
    assert "1 finding: 1 error" in capsys.readouterr().err
    assert main(["check", f"{CASES}/clash/cluster.yaml", "--select", "NPT206,NPT207"]) == 1
    assert "2 findings: 2 error" in capsys.readouterr().err


def test_the_worst_come_first_and_a_remedy_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["check", f"{CASES}/clash/cluster.yaml"])

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines if not line.startswith(" ")] == [
        "error NPT203",
        "error NPT203",
        "error NPT206",
        "error NPT207",
        "warning NPT205",
        "warning NPT205",
        "warning NPT205",
    ]
    assert sum(line.startswith("    do: ") for line in lines) == 4


@pytest.fixture
def many(tmp_path: Path) -> str:
    """25 Services without an endpoint, in a cluster that lists the endpoints of another."""
    services = []
    for number in range(25):
        address = f"10.96.1.{number}"
        one = service(clusterIP=address, clusterIPs=[address], type="ClusterIP")
        one["metadata"]["name"] = f"web{number}"
        del one["spec"]["ports"][0]["nodePort"]
        services.append(one)
    items = [*services, endpoint_slice(*ON_BOTH)]
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def test_text_shows_the_first_twenty_of_a_code_and_other_outputs_all(
    many: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", many])

    shown = capsys.readouterr()
    assert shown.out.count("error NPT101: ") == 20
    assert "... and 5 more NPT101 about 5 more objects (-o json has all)\n" in shown.out
    assert "25 findings: 25 error" in shown.err
    assert len(findings(capsys, many)) == 25
    main(["check", many, "-o", "github"])
    assert len(capsys.readouterr().out.splitlines()) == 25


def test_a_dump_of_a_node_is_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = f"{HAIRPIN}/cluster.yaml"

    assert main(["check", cluster, "--current", FILTER_ONLY, "--select", "NPT513,NPT511"]) == 1

    shown = capsys.readouterr()
    assert "error NPT513: Node node-a: IPv4 filter KUBE-FIREWALL: it drops every packet: -A" in (
        shown.out
    )
    # The dump is of an older kube-proxy, and of one table.
    assert "IPv4 filter differs in KUBE-PROXY-FIREWALL" in shown.out
    assert "IPv4 nat" not in shown.out
    assert "the dump has no table nat: it is not checked" in shown.err
    assert "NPT509" not in codes(capsys, cluster, "--current", FILTER_ONLY)


def test_a_dump_and_this_node_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", TUTORIAL, "--live", "--current", FILTER_ONLY]) == 2
    assert "cannot be used together" in capsys.readouterr().err


def test_diff_warns_of_a_rule_in_a_shared_chain_that_no_plan_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["diff", f"{HAIRPIN}/cluster.yaml", "--current", FILTER_ONLY, "-o", "json"])

    shown = capsys.readouterr()
    assert "warning: IPv4 filter KUBE-FIREWALL: it drops every packet: -A" in shown.err
    (plan,) = json.loads(shown.out)["plans"]
    assert "KUBE-FIREWALL" not in json.dumps(plan)


def test_a_listing_of_connections_shows_one_to_a_dead_endpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster, listing = f"{UDP}/cluster.yaml", f"{UDP}/conntrack.txt"
    said = "UDP from 10.244.1.9:24111 to 10.96.0.10:53 goes to 10.244.1.4:53"

    for node in ((), ("--node", "node-a")):
        (found,) = findings(capsys, cluster, "--conntrack", listing, *node)
        assert (found["code"], found["message"]) == (
            "NPT514", f"{said}, which is not an endpoint any more",
        )  # fmt: skip
    assert codes(capsys, cluster) == []


def test_connections_of_a_node_that_nobody_names_cannot_be_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(service()))

    assert main(["check", str(path), "--conntrack", f"{UDP}/conntrack.txt"]) == 2
    assert "which node? the input has no Node object" in capsys.readouterr().err


def trace(*arguments: str) -> int:
    return main(["trace", *arguments])


def test_a_trace_mentions_connections_that_keep_their_old_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends = ("--to", "svc:kube-system/kube-dns:dns", "--conntrack", f"{UDP}/conntrack.txt")
    node = (f"{UDP}/cluster.yaml", "--node", "node-a")

    assert trace(*node, "--from", "10.244.1.9", *ends) == 0
    assert (
        "1 connection to 10.96.0.10:53 that the node remembers (conntrack) goes to 10.244.1.4:53"
    ) in capsys.readouterr().err
    # Another client's packets are none of those; nor are those of another port.
    assert trace(*node, "--from", "10.244.1.8", *ends) == 0
    assert "conntrack" not in capsys.readouterr().err
    assert trace(*node, "--from", "10.244.1.9", "--to", "svc:kube-system/kube-dns:dns-tcp") == 0
    assert "conntrack" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ((f"{HAIRPIN}/cluster.yaml",), 0),
        # The dump has nat alone: whether filter lets the packet pass is open.
        (("--save", f"{HAIRPIN}/dump.txt"), 1),
    ],
)
def test_a_pod_that_reaches_itself_needs_hairpin_mode(
    rules: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ("--to", "10.96.40.40:9092")

    assert trace(*rules, "--from", "10.244.1.5", *to) == code
    assert "10.244.1.5 is sent to itself" in capsys.readouterr().err
    assert trace(*rules, "--from", "10.244.1.6", *to) == code
    assert "hairpin" not in capsys.readouterr().err


def test_rules_for_want_of_endpoints_that_were_not_read_are_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left_out = "not all endpoints are known: EndpointSlice web/shop-x was left out"

    assert trace(OLD, "--lenient", "--from", "outside", "--to", "nodeport:31080") == 1
    shown = capsys.readouterr().out
    assert shown.startswith(f"not known: {left_out}\n")
    assert "refused" not in shown
    # The other Service has no slice, whatever was left out.
    assert trace(OLD, "--lenient", "--from", "outside", "--to", "nodeport:31081") == 1
    assert capsys.readouterr().out.startswith("does not arrive: REJECT: web/old has no endpoint")


def test_rules_that_a_node_has_refuse_whatever_was_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["render", OLD, "--lenient"])
    dump = tmp_path / "dump"
    dump.write_text(capsys.readouterr().out)

    asked = ("--lenient", "--save", str(dump), "--from", "outside", "--to", "nodeport:31080")
    assert trace(OLD, *asked) == 1

    shown = capsys.readouterr().out
    assert shown.startswith("does not arrive: REJECT: web/shop has no endpoint that was read; ")
    assert "no EndpointSlice belongs to it" not in shown


def test_a_partial_answer_of_unread_endpoints_does_not_drop_for_want_of_local_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unread = endpoint_slice({"addresses": ["10.244.2.256"], "nodeName": "node2"})
    unread["metadata"]["name"] = "web-2"
    items = [*NODES, service(externalTrafficPolicy="Local"), endpoint_slice(*ON_BOTH), unread]
    path = tmp_path / "web.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    asked = ("--node", "node2", "--lenient", "--from", "outside", "--to", "nodeport:30080")
    trace(str(path), *asked)

    assert capsys.readouterr().out.startswith("not known: not all endpoints are known: ")


def test_render_says_what_its_rules_do_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", OLD, "--lenient", "--explain"]) == 0

    shown = capsys.readouterr()
    assert "warning: web/shop: not all endpoints are known: EndpointSlice web/shop-x" in shown.err
    assert "web/old: not all" not in shown.err
    about_shop = shown.out.partition("# web/shop:http (TCP)\n")[2].partition("\n-A")[0]
    assert "#   not all endpoints are known" in about_shop
    assert "no EndpointSlice belongs to it" not in about_shop


# A Service with a Local policy and no endpoint on the only Node.
SOME = str(CONFORMANCE / "named" / "nodeport-local-policy-no-local-endpoint" / "cluster.yaml")
# In line 6, column 3: spec.type is "Nodeport".
MISTAKE = FIXTURES / "manifests" / "mistakes" / "type-typo.yaml"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
"""


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--select=NPT999", 'no code "NPT999" (`nptables rule` lists them all)'),
        ("--select=", 'no code ""'),
        ("--select=NPT101,", 'no code ""'),
        ("--ignore=NPT1O2", 'no code "NPT1O2" (did you mean NPT102?)'),
        ("--ignore=NPT1021", 'no code "NPT1021"'),
        ("--select=npt201,no-redy-endpoint", "did you mean no-ready-endpoint?"),
    ],
)
def test_a_code_that_there_is_not_is_a_wrong_command_line(
    option: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", SOME, option]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize("word", ["NPT102", "npt102", "NPT1", "NPT", "local-policy-gap"])
def test_a_code_may_be_meant_by_its_beginning_or_its_name(
    word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", SOME, "--select", word, "-o", "json"]) == 1

    codes = {finding["code"] for finding in json.loads(capfd.readouterr().out)["findings"]}
    assert "NPT102" in codes
    assert main(["check", SOME, "--ignore", word, "--select", "NPT102"]) == 0


def test_the_range_of_node_ports_is_that_of_the_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = [{"name": "http", "port": 80, "nodePort": 20000}]
    file = tmp_path / "web.json"
    file.write_text(json.dumps({"kind": "List", "items": [*NODES, service(ports=ports)]}))

    assert "NPT202" in codes(capsys, str(file))
    assert "NPT202" not in codes(capsys, str(file), "--node-port-range", "20000-20010")


def result(out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (run,) = json.loads(out)["runs"]
    (rule,), (found,) = run["tool"]["driver"]["rules"], run["results"]
    return rule, found


def test_wrong_input_is_a_finding_in_sarif(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(MISTAKE), "-o", "sarif", "--ignore", "NPT001", "--exit-zero"]) == 2

    rule, found = result(capfd.readouterr().out)
    assert rule["id"] == found["ruleId"] == "NPT001"
    assert found["level"] == "error"
    assert "spec.type" in found["message"]["text"]
    (location,) = found["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": str(MISTAKE)},
        "region": {"startLine": 6},
    }


def test_a_file_that_is_not_there_is_a_finding_without_a_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "nowhere.yaml", "--output=sarif"]) == 2

    _, found = result(capfd.readouterr().out)
    assert (
        found["message"]["text"] == "there is no such file. What was read with it was not checked."
    )
    assert found["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "nowhere.yaml"}}}
    ]


@pytest.mark.parametrize("command", ["check", "diff"])
def test_wrong_input_is_an_annotation_in_github(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [str(MISTAKE)] if command == "check" else [str(MISTAKE), SOME]

    assert main([command, *files, "--node", "x", "-o", "github"]) == 2

    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith(f"::error file={MISTAKE},line=6,title=NPT001 invalid-input::")


def test_a_node_that_there_is_not_is_a_finding_too(capfd: pytest.CaptureFixture[str]) -> None:
    tutorial = str(FIXTURES / "tutorial" / "two-nodes.yaml")

    assert main(["check", tutorial, "--node", "node3", "-o", "github"]) == 2
    assert '::error title=NPT001 invalid-input::Node: there is no node "node3"' in (
        capfd.readouterr().out
    )


@pytest.mark.parametrize("text", ['{"items": []}', ""])
def test_nothing_to_check_is_no_success(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)

    assert main(["check", str(path)]) == 2
    assert main(["check", str(path), "--lenient", "--exit-zero"]) == 2
    assert capfd.readouterr().out == ""


def test_objects_without_a_service_are_one_line_of_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deployment.yaml"
    path.write_text(DEPLOYMENT)

    assert main(["check", str(path)]) == 0

    said = "note: there is no Service in the input, so none was checked\n"
    assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("command", ["check", "trace"])
def test_what_is_no_list_of_connections_is_refused_instead_of_found_harmless(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dump was given where the output of `conntrack -L` is wanted."""
    dump = tmp_path / "dump.txt"
    dump.write_text("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n")
    ends = ["--node", "node-a", "--from", "outside", "--to", "10.96.0.10:53/UDP"]

    arguments = [command, f"{UDP}/cluster.yaml", "--conntrack", str(dump)]
    assert main([*arguments, *(ends if command == "trace" else [])]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert f"{dump}: is not what `conntrack -L` prints" in err


@pytest.mark.parametrize(
    "said", ["", "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown.\n"]
)
def test_a_node_may_have_no_connection_at_all(said: str, tmp_path: Path) -> None:
    listing = tmp_path / "conntrack.txt"
    listing.write_text(said)

    assert main(["check", f"{UDP}/cluster.yaml", "--conntrack", str(listing), "--exit-zero"]) == 0


def test_standard_input_that_is_named_twice_is_not_taken_for_an_empty_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects are read first, and nothing is left for the connections."""
    objects = Path(f"{UDP}/cluster.yaml").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(objects)))

    assert main(["check", "-", "--conntrack", "-"]) == 2

    assert "standard input is read once (write - only once)" in capsys.readouterr().err
