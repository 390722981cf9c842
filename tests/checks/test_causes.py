"""The cause by name: what stands where on both sides, and the line to write.

fixtures/causes has an example for each code; the lines in the table are those of its files.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables.checks import CODES
from nptables.cli import main
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CAUSES = FIXTURES / "causes"

# Name of the code, line of the finding, lines that the text names, what is to be written.
EXAMPLES = [
    ("selector-slip", 6, (6, 22), 'Write "app: wbe" in the selector'),
    ("selector-label-too-many", 7, (7, 22), 'Remove "tier: front" from the selector'),
    ("selector-labels-on-workload", 5, (5, 16, 22), 'Write "app: web" in spec.template.metadata'),
    ("selector-other-namespace", 3, (3, 15), 'Write "namespace: store" in the Service'),
    ("selector-shared", 5, (5, 41), 'Write "app: web" in the selector'),
    ("selector-fits-none", 5, (5, 21), "Give the selector the labels"),
    ("pods-of-operator", 5, (5,), "Compare the selector"),
    ("no-replicas", 5, (17,), 'Write "replicas: 1" or more'),
    ("target-port-unknown", 9, (9, 28), 'Write "targetPort: http"'),
    ("target-port-differs", 9, (9, 28, 47), 'Write one number at "name: http"'),
    ("target-port-undeclared", 9, (9, 28), "If the program does not listen there"),
    ("target-port-protocol", 9, (9, 29), 'Write "protocol: TCP" in the Service port'),
    ("readiness-port-unknown", 28, (28, 30), 'Write "port: http"'),
    ("readiness-port-undeclared", 28, (28, 30), 'If nothing listens there, write "port: 8080"'),
    ("readiness-gate", 25, (25,), "See that the controller"),
]
NAMES = [name for name, *_ in EXAMPLES]


@pytest.fixture
def check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    monkeypatch.chdir(CAUSES)

    def run(*words: str) -> tuple[int, list[dict[str, Any]]]:
        code = main(["check", "-o", "json", *words])
        return code, json.loads(capfd.readouterr().out)["findings"]

    return run


def test_every_cause_has_an_example() -> None:
    wanted = {"NPT106", *(code for code in CODES if code.startswith(("NPT13", "NPT14")))}

    assert wanted == {code for code, kind in CODES.items() if kind.name in NAMES}
    assert {f"{name}.yaml" for name in NAMES} == {path.name for path in CAUSES.iterdir()}


@pytest.mark.parametrize(("name", "line", "lines", "remedy"), EXAMPLES, ids=NAMES)
def test_a_cause_is_the_only_finding_and_names_both_sides_and_the_line_to_write(
    check: Any, name: str, line: int, lines: tuple[int, ...], remedy: str
) -> None:
    code, (finding,) = check(f"{name}.yaml")

    assert code == 1
    assert finding["name"] == name
    assert (finding["file"], finding["line"]) == (f"{name}.yaml", line)
    assert [
        f"({name}.yaml:{n})" for n in lines if f"({name}.yaml:{n})" not in finding["message"]
    ] == []
    assert finding["remedy"].startswith(remedy)


def test_pods_without_the_name_of_a_target_port_get_none_of_its_connections(
    check: Any, tmp_path: Path
) -> None:
    # Each Pod resolves the name for itself: a worker without it is no endpoint of the port.
    by_number = (CAUSES / "selector-shared.yaml").read_text()
    by_name = tmp_path / "named.yaml"
    by_name.write_text(by_number.replace("targetPort: 8080", "targetPort: http"))

    assert check(str(by_name)) == (0, [])


@pytest.mark.parametrize("name", NAMES)
def test_a_cause_is_selected_and_ignored_like_any_other_code(check: Any, name: str) -> None:
    code = next(code for code, kind in CODES.items() if kind.name == name)

    assert [finding["code"] for finding in check(f"{name}.yaml", "--select", code)[1]] == [code]
    assert check(f"{name}.yaml", "--ignore", name) == (0, [])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pods-of-operator"])
def test_trace_and_explained_rules_name_the_cause_too(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CAUSES)
    main(["check", "-o", "json", f"{name}.yaml"])
    message = json.loads(capfd.readouterr().out)["findings"][0]["message"]
    protocol = "/UDP" if name == "target-port-protocol" else ""

    main(["render", f"{name}.yaml", "--node", "node1", "--explain"])
    explained = capfd.readouterr().out
    words = ["--node", "node1", "--from", "outside", "--to", f"svc:shop/web{protocol}"]
    main(["trace", f"{name}.yaml", *words])
    traced = capfd.readouterr().out

    assert message in explained
    assert message in traced
