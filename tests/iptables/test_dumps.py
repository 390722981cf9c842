"""The rules of Docker, firewalld, ufw, Calico, Cilium and others are read and given back."""

from __future__ import annotations

import pytest

from nptables.iptables import Ruleset
from nptables.iptables.rule import Rule
from nptables.iptables.spelling import normal_form
from tests.support.dumps import Dump, dumps

DUMPS = dumps()


def test_the_dumps_are_there() -> None:
    projects = {dump.name.split(".")[0] for dump in DUMPS}

    assert projects >= {
        *("antrea", "calico", "cilium", "cni", "docker"),
        *("firewalld", "kube-router", "kubelet", "ufw"),
    }


@pytest.mark.parametrize("dump", DUMPS, ids=str)
def test_a_dump_is_given_back_byte_for_byte(dump: Dump) -> None:
    assert dump.text == Ruleset.from_save(dump.text, family=dump.family).to_save()


@pytest.mark.parametrize("dump", DUMPS, ids=str)
def test_every_rule_is_understood(dump: Dump) -> None:
    unknown = {line: Rule.parse(line, dump.family).unknown for line in dump.rule_lines}

    assert {line: names for line, names in unknown.items() if names} == {}


@pytest.mark.parametrize("dump", DUMPS, ids=str)
def test_every_rule_is_rendered_as_it_was_printed(dump: Dump) -> None:
    rendered = [Rule.parse(line, dump.family).render() for line in dump.rule_lines]

    assert dump.rule_lines == rendered


@pytest.mark.parametrize("dump", DUMPS, ids=str)
def test_every_rule_is_normal_as_it_was_printed(dump: Dump) -> None:
    normal = [normal_form(line, dump.family) for line in dump.rule_lines]

    assert dump.rule_lines == normal
