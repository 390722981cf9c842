"""What README.md and docs/ tell people to type runs as it stands there.

Commands that change or read a node's tables run in tests/kernel/test_documentation.py.
"""

from __future__ import annotations

import gzip
import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import pytest
import yaml

from nptables import Ruleset, load
from nptables.cli import main
from nptables.cli.app import cli
from nptables.evidence import Evidence, Form
from nptables.evidence.snapshot import to_document
from nptables.reachability import Expectation
from nptables.sources.evidence import read_evidence
from nptables.sources.fleet.folder import Folder
from nptables.testing.plugin import assert_reaches
from tests.support import bundles
from tests.support.documentation import (
    PAGES,
    ROOT,
    Block,
    Command,
    code,
    commands,
    lines_that_are_no_commands,
    write_files,
)
from tests.support.executing import ExecServer, node_text, prints

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["assert_reaches"]

# Beginnings of the commands that no test can run, and why.
NOT_RUN = {
    "pip install .": "tests/test_distribution.py builds and installs the wheel",
    "pip install '.[": "it installs into the environment of the tests",
    "pipx install ": "tests/test_distribution.py builds and installs the wheel",
    "uv tool install ": "tests/test_distribution.py builds and installs the wheel",
    "dask ": "it goes on until it is stopped: tests/sources/fleet has a cluster",
    "make demo": "it installs a virtual environment",
    "make bench": "it takes ten minutes",
    "make playground": "tests/playground builds it and opens it in browsers",
    "python -m http.server ": "it goes on until it is stopped",
    ".venv/bin/python benchmarks/": "it takes minutes",
    "python benchmarks/": "it takes minutes",
    ".venv/bin/python -m pytest tests/lab": "those are tests themselves",
    "NPTABLES_LAB_CHANGES=2000 ": "those are tests themselves",
    "NPTABLES_WALKS=10000 ": "those are tests themselves",
    "kubectl -n kube-system patch ": "it changes a cluster",
    "kubectl label node ": "it changes a cluster",
    "kubectl -n kube-system exec ": "it needs a cluster: tests/kernel has the script",
    "kubectl debug node/": "it needs a cluster: tests/kernel has the script",
    "nptables run ": "it goes on until it is stopped: tests/agent does it with these options",
    "nptables audit --snapshots fleet --dask ": "it needs a Dask cluster: tests/sources/fleet",
    "nptables collect -o fleet --with-daemonset ": "no cluster starts its Pods: "
    "tests/sources/fleet/test_daemonset.py has one",
    "nptables status": "it needs a running agent: tests/agent has one",
}
# What kubectl prints; see tests/sources/test_formats.py for more of it.
CREATED = """\
apiVersion: v1
kind: Service
metadata:
  creationTimestamp: null
  labels: {app: web}
  name: web
spec:
  ports:
  - {name: 80-8080, port: 80, protocol: TCP, targetPort: 8080}
  selector: {app: web}
  type: NodePort
status: {loadBalancer: {}}
"""


def reason(command: Command) -> str:
    """Why a command is not run, or an empty string."""
    return next((why for start, why in NOT_RUN.items() if command.text.startswith(start)), "")


# What is checked here, what the site's build runs (tests/test_site.py), and what is only shown.
LANGUAGES = {
    *("sh", "python", "yaml", "json"),
    *("{nptables-run}", "{nptables-python}", "{nptables-commands}", "{eval-rst}"),
    *("{literalinclude}", "{toctree}"),
    "text",
}


def of_language(language: str) -> list[Block]:
    """The blocks of a language, on all pages."""
    return [block for page in PAGES for block in code(page) if block.language == language]


RUN = [command for command in commands() if not reason(command) and not command.needs_root]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every file that is named, and stand-ins for the programs of others."""
    folder = tmp_path_factory.mktemp("documentation")
    objects = write_files(folder)
    shutil.copy(folder / "cluster.json", folder / "answer.json")
    programs = folder / "bin"
    programs.mkdir()
    (folder / "created.yaml").write_text(CREATED)
    (folder / "baseline.json").write_text('{"findings": []}')
    script(programs / "nptables", f'exec {sys.executable} -m nptables "$@"')
    script(
        programs / "kubectl",
        f'case "$1" in get) cat {folder}/answer.json;; create) cat {folder}/created.yaml;;\n'
        'nptables) shift; exec nptables "$@" </dev/null;; esac',
    )
    script(programs / "iptables-save", f"cat {folder}/dump")
    shutil.copy(ROOT / "fixtures" / "cases" / "udp-stale" / "conntrack.txt", folder)
    with (folder / "dump").open("wb") as dump:
        subprocess.run(
            [programs / "nptables", "render", "web.yaml", "--node", "node1"],
            cwd=folder,
            stdout=dump,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    shutil.copy(folder / "dump", folder / "dump.txt")
    (folder / "dumps").mkdir()
    shutil.copy(folder / "dump", folder / "dumps" / "node1.txt")
    _collected(folder, objects)
    shutil.copy(folder / "dump", folder / "paste.txt")
    (folder / "worker-1.json.gz").write_bytes(gzip.compress(snapshot(folder / "dump")))
    _gathered(folder, objects)
    with ExecServer() as server:
        server.put(*objects)
        server.add_pod("node1", prints(node_text("node1", (folder / "dump").read_text())))
        (folder / ".kube").mkdir()
        server.kubeconfig(folder / ".kube" / "config")
        yield folder


def _gathered(folder: Path, objects: list[dict[str, Any]]) -> None:
    """What collectors of logs make of the cluster, and of node1."""
    node = bundles.rancher(bundles.Node({"IPV4": (folder / "dump").read_text()}))
    node = {name: data.replace(b"ip-10-0-0-7", b"node1") for name, data in node.items()}
    report = bundles.PACKINGS["tar.xz"](node)
    cluster = bundles.PACKINGS["tar.gz"](bundles.must_gather(objects))
    (folder / "bundles").mkdir()
    for place in (folder, folder / "bundles"):
        (place / "sosreport-node1.tar.xz").write_bytes(report)
        (place / "must-gather.tar.gz").write_bytes(cluster)


def _collected(folder: Path, objects: list[dict[str, Any]]) -> None:
    """What `nptables collect -o fleet` leaves, for commands that are run without it."""
    fleet = Folder(folder / "fleet")
    fleet.make()
    fleet.write_objects(objects)
    evidence = read_evidence(folder / "dump")
    fleet.write_node("node1", to_document(evidence))


def snapshot(dump: Path) -> bytes:
    """A snapshot of worker-1 with the rules of a dump."""
    rules = attrs.evolve(Ruleset.from_save(dump.read_text()), backend="nft")
    return json.dumps(to_document(Evidence(Form.SNAPSHOT, (rules,), node="worker-1"))).encode()


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def code_and_words(
    text: str, files: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Run a command: one of ours alone in this process, which is cheaper, else in a shell."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("HOME", str(files))
    monkeypatch.setenv("PATH", f"{files}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = shlex.split(text.replace(" ~/", f" {files}/"), comments=True)
    if words[0] == "nptables" and not {"|", ">"} & set(words):
        return main(words[1:]), capfd.readouterr().err
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", RUN, ids=lambda command: command.place)
def test_a_command_runs_as_it_is_written(
    command: Command,
    files: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, words = code_and_words(command.text, files, capfd, monkeypatch)

    # 1 is a finding, a difference or a packet that does not arrive.
    assert code in (0, 1), f"{command.text}\n{words}"
    assert not [line for line in words.splitlines() if line.lower().startswith("error")]


def test_commands_are_found_at_all() -> None:
    assert len(RUN) >= 18
    assert {Path(command.place.partition(":")[0]).name for command in RUN} >= {
        "README.md",
        "applying.md",
        "checks.md",
        "input.md",
        "tracing.md",
    }


def test_every_exception_is_still_needed() -> None:
    texts = [command.text for command in commands()]

    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in texts)] == []


@pytest.mark.parametrize(
    "command",
    [command for command in commands() if "nptables " in command.text and command not in RUN],
    ids=lambda command: command.place,
)
def test_the_options_of_what_is_not_run_here_exist(command: Command) -> None:
    words = shlex.split(command.text)
    if "nptables" not in words or words[0] == "git":
        return
    name, *arguments = words[words.index("nptables") + 1 :]
    found = cli.get_command(click.Context(cli), name)

    assert found is not None
    assert found.make_context(name, arguments) is not None


def test_files_of_the_repository_that_commands_name_are_there() -> None:
    named = [
        word
        for command in commands()
        for word in command.text.split()
        if word.startswith(("tests/", "benchmarks/", "deploy/", "scripts/"))
    ]

    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_every_block_of_code_has_a_language_whose_test_is_below() -> None:
    found = [block for page in PAGES for block in code(page)]

    assert {block.language for block in found} >= {"sh", "python", "yaml", "json"}
    assert [block.place for block in found if block.language not in LANGUAGES] == []


def test_every_line_of_a_block_of_commands_is_a_command() -> None:
    assert lines_that_are_no_commands() == []


@pytest.mark.parametrize("block", of_language("python"), ids=lambda block: block.place)
def test_a_python_program_runs_alone_as_it_is_written(
    block: Block, files: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One of tests defines them: each is called with the fixtures that it names."""
    monkeypatch.chdir(files)
    names: dict[str, Any] = {}
    exec(compile(block.text, block.place, "exec"), names)

    for test in (each for name, each in names.items() if name.startswith("test_")):
        wanted = inspect.signature(test).parameters
        if "lab" not in wanted:  # tests/lab/test_laboratory.py has that fixture
            test(**{name: request.getfixturevalue(name) for name in wanted})


@pytest.mark.parametrize("block", of_language("yaml"), ids=lambda block: block.place)
def test_a_yaml_document_is_what_it_seems_to_be(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "block.yaml"
    path.write_text(block.text)
    (document, *further) = yaml.safe_load_all(block.text)
    if isinstance(document, list):
        assert not further
        assert Expectation.listed(document)
    elif "jobs" in document:
        schema = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
        done = subprocess.run(
            [sys.executable, *schema, str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    else:
        assert load(path).cluster


def test_the_steps_of_a_workflow_find_what_a_pull_request_changes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has a file with Nodes beside the manifests; local.yaml makes node2 drop packets."""
    (workflow,) = [b.text for b in of_language("yaml") if b.text.startswith("name: services\n")]
    steps = [step.get("run", "") for step in yaml.safe_load(workflow)["jobs"]["services"]["steps"]]
    for folder, name in (("old", "one-pod.yaml"), ("new", "local.yaml")):
        (tmp_path / folder / "manifests").mkdir(parents=True)
        shutil.copy(ROOT / "docs" / "files" / name, tmp_path / folder / "manifests" / "web.yaml")
    shutil.copy(ROOT / "docs" / "files" / "relied-on.yaml", tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")

    codes = {step: main(shlex.split(step)[1:]) for step in steps if step.startswith("nptables ")}

    assert len(codes) == 3
    assert set(codes.values()) == {1}, capfd.readouterr().err


@pytest.mark.parametrize("block", of_language("json"), ids=lambda block: block.place)
def test_a_json_document_can_be_read(block: Block) -> None:
    assert json.loads(block.text)
