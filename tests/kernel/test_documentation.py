"""The commands of README.md and docs/ for a node, in their order, as root in a namespace."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.kernel.nodes import LIBRARY, Node
from tests.support.documentation import ROOT, Command, commands, write_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

ON_A_NODE = [command for command in commands() if command.needs_root]


def words_of(command: Command, node: Node) -> list[str]:
    """The command inside the namespace, `sudo` left out."""
    words = shlex.split(command.text.removeprefix("sudo "))
    assert words[0] == "nptables"
    return ["ip", "netns", "exec", node.netns.name, *LIBRARY, *words[1:]]


def confirmed(words: list[str], node: Node, folder: Path) -> tuple[int, str]:
    """Run `apply --confirm`, and `nptables confirm` beside it once it waits."""
    said = ""
    with subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as applying:
        assert applying.stderr is not None
        for line in applying.stderr:
            said += line
            if "press Enter within" in line:
                node.nptables("confirm")
        return applying.wait(60), said


@pytest.mark.long
def test_what_is_written_for_a_node_runs_in_its_order(
    nft_node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    codes = {}
    for command in ON_A_NODE:
        words = words_of(command, nft_node)
        if words[-1] == "confirm":
            # From another shell: it has run beside the command before it, which waited for it.
            continue
        if "--confirm" in words:
            code, said = confirmed(words, nft_node, tmp_path)
        else:
            done = subprocess.run(
                words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
            )
            code, said = done.returncode, done.stderr
        assert not [line for line in said.splitlines() if line.lower().startswith("error")], said
        codes[command.place.partition(":")[0], command.text] = code

    # 1 is a difference, which there is until the rules are applied, and a finding.
    assert codes == {
        ("README.md", "sudo nptables apply cluster.json --node worker-1 --confirm 60"): 0,
        ("README.md", "sudo nptables cleanup"): 0,
        ("applying.md", "nptables diff web.yaml --node node1 --live"): 1,
        ("applying.md", "nptables apply web.yaml --node node1 --dry-run"): 1,
        ("applying.md", "nptables apply web.yaml --node node1"): 0,
        ("applying.md", "nptables apply web.yaml --node node1 --confirm 60"): 0,
        ("applying.md", "nptables cleanup"): 0,
        ("effects.md", "nptables diff web.yaml --node node1 --live --effects"): 1,
        ("effects.md", "nptables apply web.yaml --node node1 --dry-run --effects"): 1,
        ("checks.md", "nptables check web.yaml --node node2 --live"): 1,
        ("README.md", "sudo nptables snapshot -o worker-2.json.gz"): 0,
        ("snapshot.md", "sudo nptables snapshot -o node1.json.gz"): 0,
        ("no-answer.md", "sudo nptables snapshot -o node2.json.gz"): 0,
    }
