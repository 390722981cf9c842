"""Bundles with what the programs print of recorded scenarios, and those of real collectors."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nptables import Family
from nptables.cli import main
from nptables.evidence import Form
from nptables.sources import evidence_in, read_evidence
from tests.support import bundles
from tests.support.bundles import PACKINGS, as_folder, look_at
from tests.support.netns import FAMILIES
from tests.support.requirements import requires
from tests.support.scenarios import named_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nptables import Ruleset
    from tests.support.netns import Namespace
    from tests.support.scenarios import Scenario

pytestmark = pytest.mark.kernel

SCENARIOS = (
    "nodeport-dual-stack", "loadbalancer-source-ranges", "nodeport-affinity-10s",
    "terminating-fallback-local",
)  # fmt: skip
LAYOUTS = {
    "sos": (bundles.sos, Form.LISTING),
    "old sos": (lambda node: bundles.sos(node, old=True), Form.LISTING),
    "EKS": (bundles.eks, Form.SAVED),
    "EKS listings": (lambda node: bundles.eks(node, dumps=False), Form.LISTING),
    "Rancher": (bundles.rancher, Form.SAVED),
    "Rancher listings": (lambda node: bundles.rancher(node, dumps=False), Form.LISTING),
}


def rules_in(ruleset: Ruleset) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The rules of every chain that has any, by table and chain."""
    return {
        (table.name, chain): lines
        for table in ruleset.tables.values()
        for chain, lines in table.chains.items()
        if lines
    }


def loaded(netns: Namespace, name: str) -> Scenario:
    scenario = named_scenario(name)
    for family in FAMILIES:
        netns.restore(scenario.dumps[family], family)
    return scenario


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_rules_in_every_layout_are_those_of_the_node(netns: Namespace, tmp_path: Path) -> None:
    """Line for line, whichever form the collector keeps; and nothing is claimed to be whole."""
    for name in SCENARIOS:
        loaded(netns, name)
        node = look_at(netns)
        for layout, (make, form) in LAYOUTS.items():
            path = tmp_path / "bundle"
            path.write_bytes(PACKINGS["tar.gz"](make(node)))
            evidence = read_evidence(path)

            assert form is evidence.form, layout
            for family in Family:
                (expected,) = evidence_in(node.dumps[family.name], family).of(family)
                (actual,) = evidence.of(family)
                assert rules_in(expected) == rules_in(actual), (name, layout)
                assert frozenset() == actual.unshown.open
                assert {"raw", "security"} >= actual.unshown.tables


def test_answers_are_those_of_the_dump_and_the_objects(
    netns: Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`diff`, `check`, `audit` and `trace`, of both bundles at once."""
    scenario = loaded(netns, "nodeport-dual-stack")
    # One endpoint is gone: whoever answers has something to say.
    victim = next(line for line in netns.save("IPV4").splitlines() if "-j KUBE-SEP-" in line)
    netns.run([netns.program("IPV4"), "-w", "60", "-t", "nat", "-D", *shlex.split(victim)[1:]])
    node = look_at(netns)
    config, objects, dump = (tmp_path / n for n in ("config.yaml", "objects.json", "dump"))
    config.write_text(yaml.safe_dump(scenario.config))
    listed = {"apiVersion": "v1", "kind": "List", "items": scenario.objects}
    objects.write_text(json.dumps(listed))
    dump.write_text("".join(node.dumps.values()))
    gathered = tmp_path / "cluster"
    gathered.write_bytes(PACKINGS["zip"](bundles.must_gather(scenario.objects)))
    service = next(one for one in scenario.objects if one["kind"] == "Service")
    to = f"{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"
    setting = ["--config", config, "--node", scenario.node, "--kube-proxy-version", "1.36"]
    questions: list[list[object]] = [
        ["diff", "-o", "json"],
        ["diff", "--effects", "-o", "json", "--facts", facts_of(scenario, tmp_path)],
        ["trace", "--from", "outside", "--to", to, "--facts", facts_of(scenario, tmp_path)],
    ]
    expected = [
        answer(capsys, *question, objects, "--lenient", "--snapshot", dump, *setting)
        for question in questions
    ]
    assert expected[0][0] == 1
    for layout, (make, form) in LAYOUTS.items():
        bundle = as_folder(rules_alone(make(node)), tmp_path / layout)
        actual = [
            answer(capsys, *question, gathered, "--snapshot", bundle, *setting)
            for question in questions
        ]
        assert expected[0] == actual[0], layout
        assert effects(expected[1]) == effects(actual[1]), layout
        first = expected[2][1].splitlines()[0]
        if actual[2][0] == expected[2][0]:
            assert first == actual[2][1].splitlines()[0], layout
        else:
            # What the listing does not say is a condition, and under it the answer is the same.
            assert form is Form.LISTING
            assert "If tables raw and security" in actual[2][1]
            assert re.search(r"\d+\.\d+\.\d+\.\d+:\d+ ", first)[0] in actual[2][1]


def rules_alone(files: bundles.Files) -> bundles.Files:
    """What has rules of a bundle: its facts are none of the recorded node."""
    return {n: data for n, data in files.items() if "tables" in n or "nft" in n}


def effects(answered: tuple[int, str]) -> tuple[int, list[Any]]:
    """The code and the effects; what they depend on is said where tables are not shown."""
    found = json.loads(answered[1])["effects"]
    ways = ("service", "port", "protocol", "to", "from", "before", "after")
    return answered[0], [{key: effect[key] for key in ways} for effect in found]


def facts_of(scenario: Scenario, folder: Path) -> Path:
    path = folder / "facts.json"
    path.write_text(json.dumps(scenario.facts))
    return path


@pytest.mark.long
def test_a_real_sos_report_is_read(netns: Namespace, tmp_path: Path) -> None:
    """That of Debian, run in the namespace: on nft it keeps table nat by nft alone."""
    requires("sos")
    scenario = loaded(netns, "nodeport-dual-stack")
    netns.run(["ip", "link", "set", "lo", "up"])
    # sos takes the programs that a shell of root would: here they are those of the backend.
    script = f"""
        PATH=$PATH:/usr/sbin:/sbin
        wanted=$(readlink -f "$(command -v iptables-{netns.backend})")
        usual=$(readlink -f "$(command -v iptables)")
        [ "$wanted" = "$usual" ] || mount --bind "$wanted" "$usual"
        exec sos report --batch --allow-system-changes -o networking,host -z gzip \
            --log-size 1 --tmp-dir {tmp_path}
    """
    netns.run(["sh", "-c", script])
    (report,) = tmp_path.glob("*.tar.gz")

    evidence = read_evidence(report)

    assert Path("/proc/sys/kernel/hostname").read_text().strip() == evidence.node
    assert evidence.facts is not None
    assert (evidence.facts.interfaces or {})["lo"] == ("127.0.0.1/8", "::1/128")
    assert evidence.taken
    for family in Family:
        (expected,) = evidence_in(scenario.dumps[family.name], family).of(family)
        (actual,) = evidence.of(family)
        counts = {chain: len(lines) for chain, lines in rules_in(expected).items()}
        assert counts == {chain: len(lines) for chain, lines in rules_in(actual).items()}
        assert netns.backend == (actual.backend or "legacy")
