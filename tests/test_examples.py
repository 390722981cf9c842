"""The examples do what their README says."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nptables.cli import main
from tests.support.documentation import ROOT, code

EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


def run(program: str, *arguments: str) -> None:
    """Run a program of the examples in this process."""
    runpy.run_path(str(EXAMPLES / program))["main"](*arguments)


def test_every_file_is_in_the_readme() -> None:
    text = (EXAMPLES / "README.md").read_text()
    files = [path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*") if path.is_file()]
    named = {Path(name) for name in re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)}

    assert {f for f in files if f.suffix != ".pyc"} - {Path("README.md")} == {
        file for file in files if file in named or any(parent in named for parent in file.parents)
    }
    assert all((EXAMPLES / name).exists() for name in named)


@pytest.mark.parametrize(
    "command",
    [
        line
        for block in code(EXAMPLES / "README.md")
        if block.language == "sh"
        for line in block.text.splitlines()
    ],
)
def test_a_command_of_the_readme_runs(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    program, *words = command.split()
    if program == "python":
        run(*words)
    else:
        assert (program, main(words)) == ("nptables", 0)
        assert "no findings, 2 ignored" in capfd.readouterr().err


def test_both_findings_are_ignored_each_with_its_reason(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "shop", "-o", "json"]) == 0
    ignored = json.loads(capfd.readouterr().out)["ignored"]
    assert [(one["code"], one["ignored"]["by"]) for one in ignored] == [
        ("NPT102", ".nptables.yaml"),
        ("NPT302", "annotation nptables.io/ignore"),
    ]

    assert main(["check", "shop", "-o", "json", "--no-settings"]) == 1
    found = json.loads(capfd.readouterr().out)["findings"]
    assert [one["code"] for one in found] == ["NPT102"]


def test_who_answers_says_it_for_each_node(capsys: pytest.CaptureFixture[str]) -> None:
    run("who_answers.py", "shop/web.yaml", "shop/nodes.yaml")

    # The policy is Local, and the only endpoint is on worker-1.
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("web on worker-1:30080 arrives: shop/web at 10.244.1.5:8080")
    assert second.startswith("web on worker-2:30080 does not arrive: DROP: ")


def test_what_changes_says_what_the_other_policy_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (EXAMPLES / "shop" / "web.yaml").read_text()
    new = tmp_path / "web.yaml"
    new.write_text(text.replace("Policy: Local", "Policy: Cluster"))

    run("what_changes.py", "shop/web.yaml", str(new), "shop/nodes.yaml")

    first, second = capsys.readouterr().out.splitlines()
    assert "30080 on worker-1" in first
    assert first.endswith("source kept before, now hidden")
    assert "30080 on worker-2" in second
    assert "was dropped (no local endpoint), now sent to 10.244.1.5:8080" in second


@pytest.mark.parametrize(
    ("file", "schema"), [("github.yml", "github-workflows"), ("gitlab.yml", "gitlab-ci")]
)
def test_what_a_forge_reads_has_its_form(file: str, schema: str) -> None:
    words = ["-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", f"ci/{file}"]
    subprocess.run([sys.executable, *words], check=True)


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci" / "github.yml").read_text())
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = [s for s in workflow["jobs"]["services"]["steps"] if "nptables" in s.get("uses", "")]

    assert step["with"].keys() <= action["inputs"].keys()


def test_the_commands_for_gitlab_run(capfd: pytest.CaptureFixture[str]) -> None:
    script = yaml.safe_load((EXAMPLES / "ci" / "gitlab.yml").read_text())["check-services"][
        "script"
    ]
    commands = [line for line in script if line.startswith("nptables ")]

    assert len(commands) == 2
    for line in commands:
        words = line.partition(" > ")[0].split()[1:]
        assert main(words) == 0
        assert capfd.readouterr().out


def test_the_hook_is_one_that_this_repository_has() -> None:
    (repo,) = yaml.safe_load((EXAMPLES / "ci" / "pre-commit.yaml").read_text())["repos"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert {hook["id"] for hook in repo["hooks"]} <= {hook["id"] for hook in hooks}
