"""What a translation looks like on paper."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from nptables import Cluster, Family, ProxyConfig, Ruleset, translate
from nptables.rendering import explained, narrowed_to, restore_text
from nptables.rendering.document import to_document
from nptables.translation import Translation
from tests.support.clusters import Object, clusters, endpoint, endpoint_slice, rules_of, service

SCHEMA = json.loads(Path("docs/render.schema.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)
VALIDATOR.check_schema(SCHEMA)


@pytest.fixture
def rules() -> Translation:
    return rules_of(
        service("web", clusterIP="10.96.0.1"),
        service("api", clusterIP="10.96.0.2", ports=[{"port": 80, "nodePort": 30081}]),
        service("none", clusterIP="None", type="ClusterIP", ports=[{"port": 80}]),
        endpoint_slice(endpoint("10.244.1.1"), endpoint("10.244.1.2"), of="web"),
        endpoint_slice(endpoint("10.244.1.3"), of="api"),
    )


def test_restore_text_declares_no_built_in_chain_and_no_jump_from_one(rules: Translation) -> None:
    for line in restore_text(rules).splitlines():
        if not line.startswith("#"):
            assert not line.startswith((":PREROUTING", ":INPUT", ":FORWARD", ":OUTPUT", ":POST"))
            assert not line.startswith(("-A PREROUTING", "-A INPUT", "-A FORWARD", "-A OUTPUT"))


def test_restore_text_has_a_command_for_every_jump_last_one_first(rules: Translation) -> None:
    commands = [
        line.partition(" || ")[2] for line in restore_text(rules).splitlines() if " || " in line
    ]
    wanted = [
        f"iptables -w -t {table} -I {line.removeprefix('-A ')}"
        for table in ("nat", "filter")
        for chain in ("POSTROUTING", "OUTPUT", "FORWARD", "INPUT", "PREROUTING")
        for line in reversed(rules.lines(table, chain))
    ]
    assert sorted(commands) == sorted(wanted)
    # Each is inserted before the one inserted before it.
    into_input = [command for command in commands if " -I INPUT " in command]
    assert into_input == [command for command in wanted if " -I INPUT " in command]


def test_the_firewall_chain_is_left_to_the_kubelet_where_it_is_not_ours() -> None:
    rules = rules_of(iptables={"localhostNodePorts": False})
    text = restore_text(rules)
    assert ":KUBE-FIREWALL" not in text
    assert "iptables -w -t filter -N KUBE-FIREWALL" in text
    assert ":KUBE-FIREWALL - [0:0]" in restore_text(rules_of())


def test_with_the_current_rules_at_hand_only_missing_jumps_are_inserted(rules: Translation) -> None:
    current = Ruleset.from_save(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        ":KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\nCOMMIT\n",
        family=Family.IPV4,
    )
    lines = restore_text(rules, current).splitlines()
    assert "-I INPUT -j KUBE-FIREWALL" not in lines
    assert "-I OUTPUT -j KUBE-FIREWALL" in lines
    assert len([line for line in lines if line.startswith("-I ")]) == 3 + 11 - 1
    assert not any(line.startswith(":FORWARD") for line in lines)
    assert [line for line in lines if line.startswith("#")] == [
        "# Relative to one state of one node: feed it once, then render it anew."
    ]


@pytest.mark.parametrize(("tables", "made"), [("", 1), (":KUBE-FIREWALL - [0:0]\n", 0)])
def test_a_chain_that_only_has_to_exist_is_made_where_it_is_missing(tables: str, made: int) -> None:
    rules = rules_of(iptables={"localhostNodePorts": False})
    current = Ruleset.from_save(f"*filter\n:INPUT ACCEPT [0:0]\n{tables}COMMIT\n")

    lines = restore_text(rules, current).splitlines()
    lines_without = restore_text(rules, Ruleset(Family.IPV4, {})).splitlines()

    assert lines.count(":KUBE-FIREWALL - [0:0]") == made
    assert lines_without.count(":KUBE-FIREWALL - [0:0]") == 1


def test_one_service_comes_with_what_leads_to_it_and_nothing_of_the_others(
    rules: Translation,
) -> None:
    part = narrowed_to(rules, ("default", "web"))
    text = part.to_save()
    # All built-in chains, and of the others those of the Service and what leads there.
    of_services = re.compile(r"KUBE-(?:SVC|SEP|EXT)-[A-Z2-7]{16}")
    assert {c for c in part.tables["nat"].chains if not of_services.fullmatch(c)} == {
        "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING",
        "KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-SERVICES",
    }  # fmt: skip
    assert "default/api" not in text
    assert "10.244.1.3" not in text
    lines = text.splitlines()
    assert sum("--to-destination" in line for line in lines) == 2
    assert sum("-j KUBE-NODEPORTS" in line for line in lines) == 1
    assert sum(line.startswith(("-A PREROUTING", "-A OUTPUT")) for line in lines) == 2
    assert "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000" in lines


@given(clusters)
def test_narrowed_rulesets_keep_a_target_for_every_jump(objects: list[Object]) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    rules = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4)
    for key in cluster.services:
        for name, table in narrowed_to(rules, key).tables.items():
            for chain, lines in table.chains.items():
                assert set(lines) <= set(rules.lines(name, chain))
                for line in lines:
                    target = line.rpartition(" -j ")[2].split()[0]
                    assert not target.startswith("KUBE-") or target in table.chains


def test_reasons_stand_above_the_first_rule_of_each_service(rules: Translation) -> None:
    lines = explained(rules, rules).to_save().splitlines()
    assert lines[:2] == ["# default/none", "#   skipped: it is headless (clusterIP is None)"]
    place = lines.index("# default/web (TCP)")
    assert lines[place + 1].startswith("#   internal traffic policy Cluster: 2 endpoints")
    assert '"default/web' in lines[place + 3]
    assert not any('"default/web' in line for line in lines[:place])


def test_reasons_are_comments_that_a_parser_passes_over(rules: Translation) -> None:
    parsed = Ruleset.from_save(explained(rules, rules).to_save(), family=Family.IPV4)
    assert {name: dict(table.chains) for name, table in parsed.tables.items()} == {
        name: dict(table.chains) for name, table in rules.tables.items()
    }


def test_the_document_keeps_to_its_schema_and_has_every_rule(rules: Translation) -> None:
    document = to_document(rules, rules)
    VALIDATOR(SCHEMA).validate(document)
    listed = [
        rule["line"]
        for table in document["tables"]
        for chain in table["chains"]
        for rule in chain["rules"]
    ]
    assert len(listed) == rules.rule_count()
    (dnat,) = (
        rule
        for table in document["tables"]
        for chain in table["chains"]
        for rule in chain["rules"]
        if rule["line"].endswith("--to-destination 10.244.1.3:8080")
    )
    assert dnat["target"] == {
        "name": "DNAT",
        "goto": False,
        "options": [{"name": "--to-destination", "values": ["10.244.1.3:8080"], "negated": False}],
    }
    assert dnat["origin"] == {
        "servicePort": {"namespace": "default", "name": "api", "port": "", "protocol": "TCP"},
        "endpoint": "10.244.1.3:8080",
        "field": "endpoints",
    }


@given(clusters)
def test_every_document_keeps_to_its_schema(objects: list[Object]) -> None:
    cluster = Cluster.from_objects(objects, lenient=True)
    rules = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV6)
    VALIDATOR(SCHEMA).validate(json.loads(json.dumps(to_document(rules, rules))))
