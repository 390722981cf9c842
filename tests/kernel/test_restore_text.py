"""What `nptables render -o restore` prints can be fed to a node that has rules of its own."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.test_save_text import prepare
from tests.support.netns import FAMILIES, LOCK_WAIT
from tests.support.savetext import differences, parse_save
from tests.support.scenarios import CONFORMANCE, named_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.netns import Family, Namespace

pytestmark = pytest.mark.kernel

SCENARIO = "nodeport-cluster-policy"
DROPPED = ("INPUT", "FORWARD")
FOREIGN = (
    ["-t", "nat", "-N", "MY-NAT"],
    ["-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8080", "-j", "MY-NAT"],
    ["-t", "filter", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT"],
    ["-t", "filter", "-A", "FORWARD", "-i", "eth9", "-j", "DROP"],
)
COMMAND = re.compile(r"# *(ip6?tables .*\|\| *ip6?tables .*)")


def rendered(family: Family, *options: str | Path) -> list[str | Path]:
    folder = CONFORMANCE / "named" / SCENARIO
    return [
        *(sys.executable, "-m", "nptables", "render", folder / "cluster.yaml", "--node", "node1"),
        *("--config", folder / "kube-proxy.yaml", "--facts", folder / "facts.yaml"),
        *("-o", "restore", *options, "-4" if family == "IPV4" else "-6"),
    ]


def protect(netns: Namespace, family: Family) -> None:
    """Give the node rules and policies that are not ours."""
    for chain in DROPPED:
        netns.iptables(family, "-P", chain, "DROP")
    for command in FOREIGN:
        netns.iptables(family, *command)


def run_commands(netns: Namespace, family: Family, text: str, programs: Path) -> None:
    """Do what the comment lines tell a reader to do, with the backend under test."""
    name = "iptables" if family == "IPV4" else "ip6tables"
    wrapper = programs / name
    wrapper.write_text(f'#!/bin/sh\nexec {netns.program(family)} -w {LOCK_WAIT} "$@"\n')
    wrapper.chmod(0o755)
    commands = [found[1] for line in text.splitlines() if (found := COMMAND.fullmatch(line))]
    assert commands, f"no commands in:\n{text}"
    script = f'PATH="{programs}:$PATH"\nset -e\n' + "".join(f"{line}\n" for line in commands)
    netns.run(["sh"], input=script)


def assert_ours_beside_the_foreign(netns: Namespace, family: Family) -> None:
    """Ours as recorded, each once; then the rules and policies that were there before."""
    held = parse_save(netns.save(family))
    for (table, chain), wanted in parse_save(named_scenario(SCENARIO).dumps[family]).items():
        builtin = not wanted.declaration.startswith("-")
        rules = held[table, chain].rules
        ours = [rule for rule in rules if not builtin or "KUBE-" in rule]
        assert ours == wanted.rules, f"{table} {chain}"
    for chain in DROPPED:
        assert held["filter", chain].declaration.startswith("DROP ")
    assert ("nat", "MY-NAT") in held
    assert sum(rule.endswith(" -j MY-NAT") for rule in held["nat", "PREROUTING"].rules) == 1
    assert "-A INPUT -i lo -j ACCEPT" in held["filter", "INPUT"].rules
    assert "-A FORWARD -i eth9 -j DROP" in held["filter", "FORWARD"].rules


@pytest.mark.parametrize("family", FAMILIES)
def test_feeding_the_restore_text_again_changes_nothing(
    family: Family, netns: Namespace, tmp_path: Path
) -> None:
    prepare(netns, named_scenario(SCENARIO))
    protect(netns, family)
    text = netns.run(rendered(family)).stdout

    saves = []
    for _ in range(2):
        netns.restore(text, family, noflush=True)
        run_commands(netns, family, text, tmp_path)
        saves.append(netns.save(family))

    assert_ours_beside_the_foreign(netns, family)
    assert not differences(*saves)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_restore_text_relative_to_a_dump_adds_each_jump_once(
    family: Family, netns: Namespace, tmp_path: Path
) -> None:
    prepare(netns, named_scenario(SCENARIO))
    protect(netns, family)
    dump = tmp_path / "dump"

    saves = []
    for _ in range(2):
        dump.write_text(netns.save(family))
        text = netns.run(rendered(family, "--current", dump)).stdout
        netns.restore(text, family, noflush=True)
        saves.append(netns.save(family))

    assert_ours_beside_the_foreign(netns, family)
    assert not differences(*saves)
