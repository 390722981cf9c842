"""The hook for pre-commit and the action, run as they are run elsewhere, without a network."""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documentation import ROOT
from tests.support.installing import OFFLINE, copy_of_sources
from tests.support.scenarios import FIXTURES

CLASH = FIXTURES / "cases" / "clash" / "cluster.yaml"
SOUND = FIXTURES / "tutorial" / "two-nodes.yaml"
AUTHOR = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
PROGRAMS = Path(sys.executable).parent


def git(folder: Path, *words: str) -> str:
    command = ["git", *AUTHOR, *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """A repository with one commit of all that is in a folder."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of somebody's, with one file of manifests."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "web.yaml").write_text(SOUND.read_text())
    return repository(folder)


@pytest.mark.long
def test_the_hook_fails_a_commit_with_a_finding_and_passes_a_sound_one(
    project: Path, tmp_path: Path
) -> None:
    """pre-commit clones this repository, installs it and runs the hook."""
    sources = copy_of_sources(tmp_path / "nptables", also=(".pre-commit-hooks.yaml",))
    revision = git(repository(sources), "rev-parse", "HEAD")
    hook = {"repo": str(sources), "rev": revision, "hooks": [{"id": "nptables-check"}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [hook]}))
    environment = {
        **os.environ,
        **OFFLINE,
        "HOME": str(tmp_path),
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        # What builds nptables, and what it needs, instead of an index.
        "PYTHONPATH": site.getsitepackages()[0],
    }

    def commit() -> subprocess.CompletedProcess[str]:
        git(project, "add", "-A")
        return subprocess.run(
            [str(PROGRAMS / "pre-commit"), "run", "--color=never"],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    (project / "clash.yaml").write_text(CLASH.read_text())
    failed = commit()
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "nptables check" in failed.stdout
    assert re.search(r"clash\.yaml:\d+: error NPT203: Service demo/two", failed.stdout)

    (project / "clash.yaml").unlink()
    (project / "web.yaml").write_text(f"# A comment.\n{SOUND.read_text()}")
    passed = commit()
    assert (passed.returncode, "Passed" in passed.stdout) == (0, True), passed.stdout


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("validate-manifest", ".pre-commit-hooks.yaml"),
        ("validate-config", ".pre-commit-config.yaml"),
    ],
)
def test_pre_commit_takes_both_files(command: str, file: str) -> None:
    subprocess.run([str(PROGRAMS / "pre-commit"), command, file], cwd=ROOT, check=True)


def test_what_contributors_commit_is_looked_at_as_make_lint_does() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")

    assert {entry.split()[0] for entry in hooks} == {
        ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports",
    }  # fmt: skip
    assert [e for e in hooks if e.removesuffix(" --force-exclude") not in makefile] == []


ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


def test_no_command_of_the_action_is_made_of_an_input() -> None:
    """What stands in a variable cannot become a part of a command."""
    for step in ACTION["runs"]["steps"]:
        assert EXPRESSION.search(step["run"]) is None
        for value in step.get("env", {}).values():
            assert re.fullmatch(r"\$\{\{ inputs\.[a-z-]+ \}\}", value)


class Runner:
    """What a runner does with a composite action: its steps in a shell, with files for outputs."""

    def __init__(self, folder: Path, project: Path) -> None:
        self._folder, self._project = folder, project
        self.summary, self.outputs = folder / "summary.md", folder / "outputs"
        self._environment = {
            **os.environ,
            **OFFLINE,
            "PIP_TARGET": str(folder / "installed"),
            "PYTHONPATH": str(folder / "installed"),
            "PATH": f"{folder}/installed/bin:{PROGRAMS}:{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(folder / "action"),
            "GITHUB_OUTPUT": str(self.outputs),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        copy_of_sources(folder / "action", also=("action.yml", ".github/action/check"))
        install, self._check = ACTION["runs"]["steps"]
        done = self._run(install["run"], {})
        assert done.returncode == 0, done.stderr

    def check(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run the second step with some inputs, the others as they are without being given."""
        for file in (self.summary, self.outputs):
            file.unlink(missing_ok=True)
        known = {name: each["default"] for name, each in ACTION["inputs"].items()}
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= known.keys()
        values = known | given
        variables = {
            name: EXPRESSION.sub(lambda found: values[found[1].removeprefix("inputs.")], text)
            for name, text in self._check["env"].items()
        }
        return self._run(self._check["run"], variables)

    def _run(self, script: str, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self._project,
            env={**self._environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.mark.long
def test_the_action_annotates_compares_and_fails(project: Path, tmp_path: Path) -> None:
    """All of it in one test, since installing takes the longest."""
    runner = Runner(tmp_path, project)

    sound = runner.check()
    assert (sound.returncode, sound.stdout) == (0, "")
    assert "no findings" in runner.summary.read_text()
    assert runner.outputs.read_text() == "exit-code=0\n"

    # Since the first commit another nodePort, and a file with findings.
    (project / "web.yaml").write_text(SOUND.read_text().replace("30080", "30081"))
    (project / "clash.yaml").write_text(CLASH.read_text())
    found = runner.check(files="web.yaml\nclash.yaml\n", base="HEAD", severity="error")
    assert found.returncode == 1
    levels = [line.partition(" ")[0] for line in found.stdout.splitlines()]
    assert set(levels) == {"::error"}
    comment = runner.summary.read_text()
    assert "### nptables check" in comment
    assert "30081 on node1 and node2, from anywhere: was left to the node itself" in comment
    assert runner.outputs.read_text() == "exit-code=1\n"

    sarif = runner.check(files="clash.yaml", output="sarif", sarif_file="out.sarif", fail="false")
    assert (sarif.returncode, sarif.stdout) == (0, "")
    assert json.loads((project / "out.sarif").read_text())["version"] == "2.1.0"
    assert runner.outputs.read_text() == "sarif-file=out.sarif\nexit-code=1\n"

    # The settings of the repository count where no input says otherwise.
    (project / ".nptables.yaml").write_text("select: [NPT101]\n")
    assert runner.check(files="clash.yaml").returncode == 0

    hostile = '$(touch pwned)`touch pwned`"; touch pwned; #'
    runner.check(**dict.fromkeys(("severity", "settings", "baseline", "output", "fail"), hostile))
    runner.check(files=f"{hostile}\n--help\n-\n--live", base="--output=pwned")
    assert not (project / "pwned").exists()
    assert git(project, "status", "--porcelain") == (
        "M web.yaml\n?? .nptables.yaml\n?? clash.yaml\n?? out.sarif"
    )
