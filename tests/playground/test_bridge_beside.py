"""What stands beside an answer: notes, choices, and what can be asked where there is none."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Ruleset, load, translate
from nptables.cli import main
from nptables.evidence import Evidence, Form
from nptables.evidence.snapshot import to_document
from nptables.family import Family
from nptables.model import ProxyConfig
from nptables.playground.examples import examples
from nptables.playground.protocol import VIEWS
from nptables.playground.words import for_page
from tests.support.documentation import ROOT
from tests.support.playground import asked, cases
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

ONE_POD = (ROOT / "docs" / "files" / "one-pod.yaml").read_text()
DUMP = (FIXTURES / "cases" / "docker-forward-drop" / "dump.txt").read_text()
STATES = {example["id"]: example["state"] for example in examples()}
COMPARED = {case.name: case for case in cases() if case.manifest and case.evidence}


def state(text: str = ONE_POD, **fields: Any) -> dict[str, Any]:
    return {"version": 1, "files": [{"name": "web.yaml", "text": text}], **fields}


def noted(ask: str, of: dict[str, Any]) -> list[str]:
    """The notes beside an answer."""
    return [note["text"] for note in asked(ask, of)["notes"]]


@pytest.mark.parametrize("view", VIEWS)
def test_which_kube_proxy_is_meant_is_said_in_no_view(view: str) -> None:
    """It stands beside the choice of it, once."""
    for given in STATES.values():
        assert [
            text
            for text in noted(view, {**given, "view": view})
            if "rules are those of kube-proxy" in text
        ] == []


def versioned(*versions: str) -> dict[str, Any]:
    """One Pod on the first of some nodes, whose kubelets have these versions."""
    nodes = "".join(
        f"---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{number}}}\n"
        f"status: {{nodeInfo: {{kubeletVersion: {version}}}}}\n"
        for number, version in enumerate(versions)
    )
    return state(ONE_POD[ONE_POD.index("kind: Service") - len("apiVersion: v1\n") :] + nodes)


@pytest.mark.parametrize(
    ("given", "usual", "why"),
    [
        (
            versioned(),
            "1.36 (newest)",
            "the version on the node is unknown, and this is the newest",
        ),
        (versioned("v1.30.4"), "1.30 (the node's)", "Node n0 has kubeletVersion v1.30.4"),
        (
            versioned("v1.30.4", "v1.30.9"),
            "1.30 (the node's)",
            "Node n0 has kubeletVersion v1.30.4",
        ),
        (versioned("v1.30.4", "v1.28.1"), "each node's (1.28, 1.30)", "its own version"),
        ({**versioned("v1.30.4", "v1.28.1"), "node": "n1"}, "1.28 (the node's)", "Node n1"),
    ],
)
def test_the_choice_of_the_version_says_which_one_counts_and_why(
    given: dict[str, Any], usual: str, why: str
) -> None:
    choices = asked("choices", given)["result"]

    assert usual == choices["kubeProxyUsual"]
    assert why in choices["kubeProxyWhy"]


def test_where_no_rules_are_made_no_version_is_spoken_of() -> None:
    """A packet is followed in the rules that the node has."""
    choices = asked("choices", {"evidence": [{"name": "dump.txt", "text": DUMP}]})["result"]

    assert (choices["kubeProxyUsual"], choices["kubeProxyWhy"]) == ("", "")


# What the command line says of an option, and of the version, which the page says elsewhere.
_OPTION = re.compile(r" \([^()]*(?:--|-v |-6)[^()]*\)$")


def told_by_the_command(case: str, folder: Path, node: str) -> set[str]:
    """The warnings and notes of `diff`, in the words of the page."""
    err = io.StringIO()
    named = ["--node", node] if node else []
    words = ["diff", *COMPARED[case].written(folder), *named, "--effects", "-o", "json"]
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(err),
    ):
        main(words)
    said = re.findall(r"^(?:warning|note): (.*)$", err.getvalue(), re.MULTILINE)
    return {
        for_page(_OPTION.sub("", text))
        for text in said
        if "the rules are those of kube-proxy" not in text
    }


@pytest.mark.parametrize("name", COMPARED)
def test_a_comparison_has_beside_it_what_the_command_says(name: str, tmp_path: Path) -> None:
    """Which tables are lacking, which rules iptables prints wrongly, what explains a difference."""
    given = COMPARED[name].state()
    choices = asked("choices", given)
    node = choices["result"]["node"] if choices["ok"] else ""
    reply = asked("changes", {**given, "node": node})
    if not reply["ok"]:
        return

    shown = {_OPTION.sub("", note["text"]) for note in reply["notes"]}
    shown.add(reply["result"]["summary"])
    assert told_by_the_command(name, tmp_path, node) <= shown


def test_there_are_comparisons_that_warn_of_each_thing() -> None:
    """Else the test before this one would prove nothing of them."""
    said = " ".join(
        note["text"]
        for case in COMPARED.values()
        for note in asked("changes", case.state())["notes"]
    )

    for warning in ("has no table", "KUBE-FIREWALL: it drops", "seem to come from another"):
        assert warning in said


# What `nft -j list ruleset` prints of a rule that asks for a set.
NATIVE = {
    "rule": {
        "family": "ip",
        "table": "filter",
        "chain": "INPUT",
        "handle": 7,
        "expr": [
            {
                "match": {
                    "op": "==",
                    "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                    "right": "@bad",
                }
            },
            {"drop": None},
        ],
    }
}


def test_what_a_comparison_cannot_show_is_said_on_the_page() -> None:
    """A rule that iptables prints wrongly, and one in a chain that others keep, too."""
    path = FIXTURES / "tutorial" / "two-nodes.yaml"
    cluster = load(path).cluster
    config = ProxyConfig.defaults("1.36")
    text = translate(cluster, cluster.node("node1"), config, Family.IPV4).to_save()
    drops = "-A KUBE-FIREWALL -j DROP\n-A KUBE-FORWARD"
    there = Ruleset.from_save(text.replace("-A KUBE-FORWARD", drops, 1))
    snapshot = Evidence(Form.SNAPSHOT, (there,), node="node1", native=(NATIVE,))
    held = [{"name": "s.json", "text": json.dumps(to_document(snapshot))}]

    said = noted("changes", state(path.read_text(), evidence=held, node="node1"))
    assert [text for text in said if "handle 7) that iptables prints wrongly" in text] != []
    assert [text for text in said if "KUBE-FIREWALL: it drops every packet" in text] != []


def test_rules_begin_with_what_decides_about_services() -> None:
    """One Service with one Pod, by hand: to it by cluster IP or node port, then what it has."""
    chains = asked("rules", state(node="node1"))["result"]["chains"]
    nat = [chain["name"] for chain in chains if chain["table"] == "nat"]

    assert nat[:2] == ["KUBE-SERVICES", "KUBE-NODEPORTS"]
    assert [name[:8] for name in nat[2:5]] == ["KUBE-EXT", "KUBE-SVC", "KUBE-SEP"]
    assert nat[5:] == ["KUBE-MARK-MASQ", "KUBE-POSTROUTING", "PREROUTING", "OUTPUT", "POSTROUTING"]
    empty = [not chain["lines"] for chain in chains if chain["table"] == "filter"]
    assert empty == sorted(empty)


def test_the_text_of_the_rules_is_that_of_the_command(tmp_path: Path) -> None:
    """Whole, and in its own order, however they are shown."""
    (tmp_path / "web.yaml").write_text(ONE_POD)
    out = io.StringIO()
    quiet = contextlib.redirect_stderr(io.StringIO())
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(out), quiet:
        main(["render", "web.yaml", "--node", "node1"])
    reply = asked("rules", state(node="node1"), most=0, whole=True)

    assert out.getvalue() == reply["result"]["text"]


def instead(ask: str, given: dict[str, Any]) -> list[tuple[str, Any, Any, list[str]]]:
    """What can be asked instead, where there is no answer."""
    reply = asked(ask, given)
    assert not reply["ok"]
    return [(one["title"], one["view"], one["keep"], one["evidence"]) for one in reply["instead"]]


def test_of_several_clusters_one_can_be_kept() -> None:
    files = [{"name": f"{folder}/web.yaml", "text": ONE_POD} for folder in ("dev", "prod")]

    assert instead("rules", {"files": files}) == [
        ("Keep only dev", None, ["dev/web.yaml"], []),
        ("Keep only prod", None, ["prod/web.yaml"], []),
        ("See the findings of all", "findings", None, []),
    ]
    assert asked("rules", {"files": files[:1]})["ok"]


def test_a_dump_among_the_manifests_can_be_moved_to_where_it_belongs() -> None:
    """It is the first place that one sees, and YAML takes its first star for an alias."""
    assert instead("findings", state(DUMP)) == [("Move it to Evidence", None, None, ["web.yaml"])]
    assert asked("trace", {"evidence": [{"name": "web.yaml", "text": DUMP}]})["ok"]


def test_in_a_folder_of_manifests_a_dump_is_passed_over() -> None:
    """As the command line does it with a file that holds no objects."""
    files = [{"name": "app/web.yaml", "text": ONE_POD}, {"name": "app/rules.txt", "text": DUMP}]

    assert asked("findings", {"files": files})["ok"]


def test_with_a_dump_alone_one_can_follow_a_packet() -> None:
    given = {"evidence": [{"name": "dump.txt", "text": DUMP}]}

    assert instead("rules", given) == [("Follow a packet in it", "trace", None, [])]


def test_what_is_wrong_offers_nothing_else() -> None:
    assert instead("findings", state("{")) == []
