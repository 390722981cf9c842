"""The bridge by itself: whatever it is sent, it answers, if only with one clear sentence."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nptables.playground import answer, answering
from nptables.playground.asks import READER
from nptables.playground.examples import examples
from nptables.playground.protocol import ASKS
from nptables.playground.words import for_page
from nptables.sources import Input
from nptables.sources.text import parse_text
from nptables.sources.text.pieces import Pieces
from tests.support.documentation import ROOT
from tests.support.playground import asked
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

ONE_POD = (ROOT / "docs" / "files" / "one-pod.yaml").read_text()
STATES = [example["state"] for example in examples()]
TEXTS = [path.read_text() for path in sorted((ROOT / "docs" / "files").glob("*.yaml"))]


def state(text: str = ONE_POD, **fields: Any) -> dict[str, Any]:
    return {"version": 1, "files": [{"name": "web.yaml", "text": text}], **fields}


def refused(ask: str, value: Any, **more: Any) -> tuple[str, str]:
    """The kind of a refusal, and its message."""
    reply = asked(ask, value, **more)
    assert not reply["ok"]
    return reply["kind"], reply["message"]


def test_a_paste_that_is_too_large_is_refused_in_a_sentence_with_the_limit() -> None:
    kind, message = refused("findings", state("# 50 MB\n" + "a" * 50_000_000))

    assert kind == "large"
    assert "larger than the 16 MB that this page takes" in message


def test_a_request_that_is_larger_than_any_state_is_not_even_parsed() -> None:
    reply = json.loads(answer("[" * 100_000_000))

    assert reply["kind"] == "large"


def test_many_files_are_refused() -> None:
    files = [{"name": f"{number}.yaml", "text": ""} for number in range(1001)]

    assert refused("findings", {"files": files}) == (
        "large",
        "there are more than 1,000 files: leave out what is not needed",
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the state is not an object with fields"),
        ([], "the state is not an object with fields"),
        ({"version": 2}, "the state is of version 2, and this page knows version 1"),
        ({"version": True}, "the state is of version True, and this page knows version 1"),
        ({"version": {"a": 1}}, "the state is of version unknown"),
        ({"colour": "red"}, 'state: the state has no field "colour"'),
        ({"files": "web.yaml"}, "state: files: is not a list"),
        ({"files": ["web.yaml"]}, "state: files[0]: is not an object with name and text"),
        ({"files": [{"text": ""}]}, "state: files[0].name: is empty"),
        ({"files": [{"name": "a", "text": 1}]}, "state: files[0].text: is not text"),
        ({"files": [{"name": "a", "txt": ""}]}, 'state: files[0] has no field "txt"'),
        (
            {"files": [{"name": "a", "text": ""}, {"name": "a", "text": ""}]},
            'state: files[1].name: "a" is there twice',
        ),
        ({"evidence": [{"name": "a", "base64": "*"}]}, "state: evidence[0].base64: is not base64"),
        ({"config": {}}, "state: config: is not text"),
        ({"node": "n" * 1001}, "state: node: is longer than 1,000 characters"),
        ({"kubeProxyVersion": "new"}, 'state: kubeProxyVersion: "new" is not a version'),
        ({"family": "IPv5"}, 'state: family: "IPv5" is not one of IPv4, IPv6'),
        ({"family": 4}, "state: family: it is not one of IPv4, IPv6"),
        ({"view": "<script>"}, 'state: view: "<script>" is not one of findings'),
        ({"before": "now"}, "state: before: is not an object with fields, or null"),
        ({"before": {"files": 1}}, "state: before.files: is not a list"),
        ({"before": {"before": None}}, 'state: before has no field "before"'),
        ({"before": {"kubeProxyVersion": "x"}}, 'state: before.kubeProxyVersion: "x" is not a'),
    ],
)
def test_a_state_that_is_none_is_refused_in_a_sentence(value: Any, message: str) -> None:
    """As it comes from a link that was cut, made by hand, or made by another version."""
    kind, said = refused("findings", value)

    assert kind == "input"
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("", "the request is not JSON"),
        ("{", "the request is not JSON"),
        ("[" * 100_000, "the request is not JSON"),
        ("7", "the request is not an object"),
        ("{}", "the request asks for none of choices, findings"),
        ('{"ask": []}', "the request asks for none of choices, findings"),
        ('{"ask": "rm"}', "the request asks for none of choices, findings"),
        ('{"ask": "rules", "first": -1}', "the request: first: is not a number from 0 on"),
        ('{"ask": "rules", "most": true}', "the request: most: is not a number from 0 on"),
        ('{"ask": "rules", "most": 1e400}', "the request: most: is not a number from 0 on"),
        ('{"ask": "rules", "service": 1}', "the request: service: is not text"),
        ('{"ask": "versions", "to": "x"}', 'the request: to: "x" is not a version'),
        ('{"ask": "rules", "more": 1}', 'the request has no field "more"'),
    ],
)
def test_a_request_that_is_none_is_refused_in_a_sentence(request_: str, message: str) -> None:
    reply = json.loads(answer(request_))

    assert (reply["ok"], reply["kind"]) == (False, "input")
    assert reply["message"].startswith(message)


def test_there_is_an_answer_where_there_is_no_input_yet() -> None:
    """The page begins so; nothing is a fault of ours."""
    for ask in ASKS:
        reply = asked(ask, {})
        assert reply["ok"] or reply["kind"] == "input"
        assert reply["ok"] or len(reply["message"]) < 200


def test_a_dump_alone_is_followed_and_the_rest_says_what_it_needs() -> None:
    """As the page has it where somebody drops a dump beside the empty editor."""
    dump = (FIXTURES / "cases" / "docker-forward-drop" / "dump.txt").read_text()
    found = {**state(" \n"), "evidence": [{"name": "dump.txt", "text": dump}]}

    choices = asked("choices", found)["result"]
    assert "nodeport:30080" in [end["value"] for end in choices["destinations"]]
    assert asked("trace", found)["ok"]
    kind, message = refused("findings", found)
    assert kind == "input"
    assert message.startswith("there are no manifests to look at (Trace follows a packet in the")


def test_several_sets_have_findings_and_for_the_rest_one_has_to_be_kept() -> None:
    files = [{"name": f"{folder}/web.yaml", "text": ONE_POD} for folder in ("dev", "prod")]

    assert asked("findings", {"files": files})["ok"]
    kind, message = refused("rules", {"files": files})
    assert kind == "input"
    assert message.startswith("there are 2 sets, each a cluster of its own: dev, prod (keep the")


@pytest.mark.parametrize("data", [b"\xff\xfe\x00\x01binary", b"\x00" * 100, b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_text_is_refused_as_on_the_command_line(data: bytes) -> None:
    held = {"name": "x.yaml", "base64": base64.b64encode(data).decode()}

    kind, message = refused("findings", {"files": [held]})

    assert kind == "input"
    assert message.startswith("x.yaml")
    kind, _ = refused("trace", {"evidence": [held], "to": "10.0.0.1:80"})
    assert kind == "input"


def test_a_small_archive_that_unpacks_to_much_is_refused() -> None:
    """100 MB of zeros are 100 kB of gzip."""
    packed = base64.b64encode(gzip.compress(b"\n" * 100_000_000)).decode()
    held = {"name": "dump.gz", "base64": packed}

    kind, message = refused("trace", {"evidence": [held], "to": "10.0.0.1:80"})

    assert kind == "input"
    assert "dump.gz: is more than 64 MiB unpacked" in message


def test_names_and_annotations_with_markup_stay_what_they_are() -> None:
    """The page shows them as text; the picture is the only markup, and it has them escaped."""
    hostile = "<img src=x onerror=alert(1)>"
    text = ONE_POD.replace(
        "name: nodeport-service, ", f'annotations: {{a: "{hostile}"}}, name: web, '
    )
    found = state(text.replace("nodeport-service}", "web}"), service="default/web")

    assert asked("graph", found)["ok"]
    assert hostile not in asked("graph", found)["result"]["svg"]
    kind, message = refused("graph", {**found, "service": f"default/{hostile}"})
    assert kind == "input"
    assert message.startswith("there is no Service default/<img")


def test_a_name_that_leads_upwards_is_harmless_in_the_script(tmp_path: Path) -> None:
    """A link may say any name; the script writes into a new folder below the present one."""
    files = [
        {"name": "../../outside.yaml", "text": ONE_POD},
        {"name": "/etc/absolute.yaml", "text": "---\n"},
        {"name": "$(touch pwned)`touch pwned`;'\"\n.yaml", "text": "END\nEND_\n# $(touch pwned)\n"},
        {"name": "-rf", "text": "\r\n"},
        {"name": "bytes.yaml", "base64": base64.b64encode(b"\x00\x01").decode()},
    ]
    reply = asked("command", {"files": files})
    script = reply["result"]["script"].replace("nptables check", "echo nptables check")

    subprocess.run(["sh", "-e"], input=script, text=True, cwd=tmp_path, check=True)

    (made,) = tmp_path.iterdir()
    written = {str(path.relative_to(made)): path for path in made.rglob("*") if path.is_file()}
    assert set(reply["result"]["files"]) == set(written)
    assert "pwned" not in written
    assert written["outside.yaml"].read_text() == ONE_POD
    assert written["bytes.yaml"].read_bytes() == b"\x00\x01"
    assert written["rf"].read_bytes() == b"\r\n"


def test_the_command_names_evidence_by_what_it_is() -> None:
    """A dump called as the node is its snapshot; connections and sets have options of their own."""
    case = FIXTURES / "cases"
    dump = (case / "nodeport-only-on-pod-node" / "dump-a.txt").read_text()
    texts = {
        "node-b.txt": dump,
        "node-a.txt": dump,
        "connections.txt": (case / "udp-stale" / "conntrack.txt").read_text(),
        "sets.txt": (case / "stale-reject-after-ipvs" / "sets.txt").read_text(),
    }
    cluster = (case / "nodeport-only-on-pod-node" / "cluster.yaml").read_text()
    evidence = [{"name": name, "text": text} for name, text in texts.items()]
    found = state(cluster, evidence=evidence, node="node-a", view="trace", to="nodeport:31080")

    words = asked("command", found)["result"]["command"]
    assert "--other node-b=evidence/node-b.txt --snapshot evidence/node-a.txt" in words
    assert "--conntrack evidence/connections.txt --sets evidence/sets.txt" in words
    words = asked("command", {**found, "view": "changes"})["result"]["command"]
    assert words == (
        "nptables diff web.yaml --node node-a --snapshot evidence/node-a.txt --effects"
    )


@pytest.mark.parametrize("text", ["\ud800", "a\udfff/b"])
def test_half_a_character_is_none(text: str) -> None:
    """What a reply holds can be written in UTF-8, whatever the request had."""
    for more in ({"service": text}, {"to": text}):
        answer(json.dumps({"ask": "rules", "state": state(node=text), **more})).encode()


KINDS = {(s["view"], bool(s["evidence"]), bool(s["config"])): s for s in STATES}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_on_a_machine_runs(kind: tuple[str, bool, bool], tmp_path: Path) -> None:
    """The script of an example of each kind, with the command of this tree: no wrong usage."""
    reply = asked("command", KINDS[kind])
    script = f'nptables() {{ "{sys.executable}" -m nptables "$@"; }}\n{reply["result"]["script"]}'

    done = subprocess.run(
        ["sh"], input=script, text=True, cwd=tmp_path, check=False, capture_output=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )  # fmt: skip

    wrong = not asked(kind[0], KINDS[kind])["ok"]
    assert done.returncode in ((2,) if wrong else (0, 1)), done.stderr


def test_rules_lead_to_what_they_are_made_from() -> None:
    """Line 20 of the file is the node port, line 31 the endpoint (counted by hand)."""
    reply = asked("rules", state(node="node1"))
    lines = {line["line"]: line for chain in reply["result"]["chains"] for line in chain["lines"]}
    (port,) = (line for text, line in lines.items() if "--dport 30080" in text)
    (endpoint,) = (line for text, line in lines.items() if "--to-destination" in text)

    texts = ONE_POD.split("\n")
    assert (port["service"], port["field"], port["file"]) == (
        "default/nodeport-service",
        "spec.ports[0].nodePort",
        "web.yaml",
    )
    assert "nodePort: 30080" in texts[port["at"] - 1]
    assert endpoint["endpoint"] == "10.233.64.5:80"
    assert "10.233.64.5" in texts[endpoint["at"] - 1]


def test_rules_come_page_by_page() -> None:
    whole = asked("rules", state(node="node1"))["result"]
    pages, first = [], 0
    while first is not None:
        page = asked("rules", state(node="node1"), first=first, most=5)["result"]
        assert sum(len(chain["lines"]) for chain in page["chains"]) <= 5 or len(page["chains"]) == 1
        pages += page["chains"]
        first = page["next"]

    assert whole["chains"] == pages
    assert whole["next"] is None


def test_a_slip_is_marked_where_it_stands_with_what_mends_it() -> None:
    text = (ROOT / "docs" / "files" / "affinity-typo.yaml").read_text()
    (mark,) = asked("findings", state(text))["marks"]
    line = text.split("\n")[mark["line"] - 1]
    fix = mark["fix"]

    assert line[mark["column"] - 1 : mark["endColumn"] - 1] == "sessionAffinity: ClusterIP"
    assert line[fix["column"] - 1 : fix["endColumn"] - 1] == "ClusterIP"
    assert fix["text"] == "ClientIP"


@pytest.mark.parametrize(
    "name", [path.name for path in sorted((FIXTURES / "manifests" / "mistakes").glob("*.yaml"))]
)
def test_a_fix_mends_what_it_is_offered_for(name: str) -> None:
    """Of every mistake that the fixtures know; what is behind a mistake may come to light."""
    try:
        text = (FIXTURES / "manifests" / "mistakes" / name).read_text()
    except UnicodeDecodeError:
        return
    reply = asked("findings", state(text))
    if reply["ok"]:
        return
    for mark in reply["marks"]:
        fix = mark["fix"]
        if fix is not None:
            lines = text.split("\n")
            line = lines[fix["line"] - 1]
            lines[fix["line"] - 1] = (
                line[: fix["column"] - 1] + fix["text"] + line[fix["endColumn"] - 1 :]
            )
            mended = asked("findings", state("\n".join(lines)))
            there = [] if mended["ok"] else [(m["line"], m["message"]) for m in mended["marks"]]
            assert (mark["line"], mark["message"]) not in there


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n  - port: 80\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n"


@pytest.mark.parametrize(
    ("above", "wrong", "right"),
    [
        (DEPLOYMENT, '  replicas: "3"', "  replicas: 3"),
        (SERVICE, "  type:NodePort", "  type: NodePort"),
        (SERVICE, "  sessionAffinity: ClusterIP", "  sessionAffinity: ClientIP"),
        (SERVICE, "    nodport: 30080", "    nodePort: 30080"),
        (SERVICE, "  externalName: *.example.com", '  externalName: "*.example.com"'),
    ],
)
def test_a_fix_writes_what_the_hint_says(above: str, wrong: str, right: str) -> None:
    """Each kind of hint, in the last line."""
    marks = asked("findings", state(above + wrong))["marks"]
    (fix,) = (mark["fix"] for mark in marks if mark["fix"] is not None)

    assert right == wrong[: fix["column"] - 1] + fix["text"] + wrong[fix["endColumn"] - 1 :]


def test_a_fault_of_ours_says_where_and_nothing_of_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret of default/nodeport-service")

    monkeypatch.setattr(answering, "ANSWERS", {"findings": broken})
    reply = asked("findings", state())

    assert (reply["ok"], reply["kind"]) == (False, "fault")
    assert "nptables 0." in reply["report"]
    assert "ValueError" in reply["report"]
    assert "secret" not in json.dumps(reply)
    assert "nodeport-service" not in json.dumps(reply)


def test_where_memory_ends_it_is_said_and_the_next_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(answering, "ANSWERS", {"findings": exhausted})
        reply = asked("findings", state())
    assert (reply["ok"], reply["kind"]) == (False, "large")
    assert reply["message"] == "there is not enough memory for this input"
    assert asked("findings", state())["ok"]


def test_what_did_not_change_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an edit only the document that it is in is parsed, however many there are."""
    from nptables.sources.text import pieces

    pods = "".join(f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}}}\n" for n in range(50))
    asked("findings", state(ONE_POD + pods))
    parsed: list[str] = []
    real = pieces.parse_yaml

    def counted(text: str, report: Any = None) -> Any:
        parsed.append(text)
        return real(text, report)

    monkeypatch.setattr(pieces, "parse_yaml", counted)
    asked("findings", state(ONE_POD.replace("30080", "30999") + pods))

    assert len(parsed) == 1
    assert "nodePort: 30999" in parsed[0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "taken from its Node object (--facts gives the real ones)",
            "taken from its Node object (the tab Facts gives the real ones)",
        ),
        ("name one with --node", "name one with the choice Node"),
        ("pass the node's own with --config", "pass the node's own with the tab Configuration"),
        ("-m addrtype --dst-type LOCAL --dport 80", "-m addrtype --dst-type LOCAL --dport 80"),
        ("a--node and --node=x", "a--node and --node=x"),
    ],
)
def test_words_name_places_of_the_page_instead_of_options(said: str, shown: str) -> None:
    assert shown == for_page(said)


def test_no_option_of_the_command_line_is_in_the_words_of_an_example() -> None:
    """What the page shows beside the documents; commands are for a machine."""
    for found in STATES:
        reply = asked(found["view"], found)
        told = [note["text"] for note in reply["notes"]]
        told += [] if reply["ok"] else [reply["message"]]
        if found["view"] == "trace":
            told += [note for part in reply["result"]["answers"] for note in part["notes"]]
        assert [text for text in told if re.search(r"--(node|config|facts|kube)", text)] == []


def test_large_input_is_read_piece_by_piece() -> None:
    """The page asks again until all is read, and shows how far it is."""
    pods = "".join(f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: q{n}}}\n" for n in range(40))
    found = state(ONE_POD + pods)
    steps = []
    while not steps or steps[-1]["read"] < steps[-1]["total"]:
        steps.append(asked("read", found, most=500)["result"])

    assert len(steps) > 3
    assert {len(ONE_POD + pods)} == {step["total"] for step in steps}
    assert [step["read"] for step in steps] == sorted({step["read"] for step in steps})


def test_reach_comes_service_by_service() -> None:
    """The pages together are the whole."""
    more = ONE_POD.split("---\n")[2].replace("nodeport-service", "other").replace("30080", "30081")
    found = state(ONE_POD + "---\n" + more.replace("10.233.39.47", "10.233.39.48"))
    whole = asked("reach", found)["result"]
    first = asked("reach", found, first=0, most=1)["result"]
    second = asked("reach", found, first=1, most=1)["result"]

    assert whole["document"]["rows"] == [*first["document"]["rows"], *second["document"]["rows"]]
    assert (whole["next"], first["next"], second["next"], whole["count"]) == (None, 1, None, 2)


@pytest.mark.parametrize("name", ["../up.yaml", "/etc/x.yaml", "a/../../b.yaml", "a/\0.yaml"])
def test_a_name_that_leads_out_of_the_folder_is_a_problem(name: str) -> None:
    assert refused("findings", {"files": [{"name": name, "text": ONE_POD}]})[0] == "input"


def test_what_was_kept_changes_no_answer() -> None:
    """The same state is answered alike first, and after another one that shares most of it."""
    for ask in ("findings", "rules", "trace", "changes"):
        before = {"files": [{"name": "web.yaml", "text": ONE_POD}]}
        one = state(node="node1", before=before)
        other = state(ONE_POD.replace("30080", "30123"), node="node1", before=before)
        READER.forget()
        expected = asked(ask, one)
        asked(ask, other)

        assert expected == asked(ask, one)


@given(
    st.lists(
        st.sampled_from(
            [
                *TEXTS, "---\n", "--- # x\n", "--- \n", "---x\n", "a: 'b\n---\nc'\n", "...\n",
                "%YAML 1.2\n", "a: |\n  ---\n  b\n", "a: &x 1\n", "b: *x\n", "{a: [b\n",
                "\tx: y\n", "a: 1\na: 2\n", "# only\n", "\n", "k: v", "\r\n", "\ufeff",
                "--- a: b\n", "- x\n",
            ]
        ),
        max_size=8,
    )
)  # fmt: skip
@example(["a: 'b\n---\nc'\n", "--- a: b\n"])
def test_documents_parsed_one_by_one_are_those_of_the_whole(parts: list[str]) -> None:
    """Values, places and problems are the same, wherever the text is cut."""
    source = Input("web.yaml", "".join(parts))
    expected, wrong = parse_text(source)
    actual, found = Pieces(1_000_000).parse_text(source)

    assert wrong == found
    assert [document.value for document in expected] == [document.value for document in actual]
    paths = [(), ("kind",), ("metadata", "name"), ("spec", "ports", 0, "nodePort"), ("a",)]
    assert [[d.locate(path) for path in paths] for d in expected] == [
        [d.locate(path) for path in paths] for d in actual
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
FIELDS = ("version", "files", "config", "facts", "evidence", "node", "kubeProxyVersion", "family",
          "from", "to", "service", "before", "view", "nonsense")  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A state of an example with some fields, or parts of its texts, replaced by anything."""
    found: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(STATES))))
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        found[field] = draw(
            JSON | st.sampled_from(["IPv6", "trace", "1.29", "", "node2", "svc/x:y/z"])
        )
    if found["files"] and isinstance(found["files"], list) and draw(st.booleans()):
        file = found["files"][0]
        if isinstance(file, dict) and isinstance(file.get("text"), str) and file["text"]:
            text = file["text"]
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(len(text), start + 60)))
            file["text"] = text[:start] + draw(st.text(max_size=10)) + text[end:]
    return found


@given(
    st.sampled_from(ASKS), mutated(), st.dictionaries(st.sampled_from(["to", "first", "x"]), JSON)
)
def test_there_is_an_answer_to_whatever_is_asked(
    ask: str, value: dict[str, Any], more: dict[str, Any]
) -> None:
    """Never an exception, never a fault of ours, never a word on the streams."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        reply = json.loads(answer(json.dumps({"ask": ask, "state": value, **more})))

    assert reply["ok"] or reply["kind"] == "input", reply["report"]
    assert (out.getvalue(), err.getvalue()) == ("", "")
