from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import commands
from tests.support.netns import NPTABLES, Namespace, network_namespace
from tests.support.requirements import requires

pytestmark = pytest.mark.kernel


def started(namespace: Namespace, *words: str) -> Any:
    """The same in a Python that is started: by the shell, so that no copy is taken."""
    return namespace.run(["sh", "-c", 'exec "$@"', "sh", *NPTABLES, *words], check=False)


@pytest.mark.parametrize(
    "words", [["facts"], ["check", "nowhere.yaml"], ["--version"], ["nonsense"]]
)
def test_a_copy_ends_and_says_what_a_start_does(words: list[str]) -> None:
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        namespace.run(["ip", "link", "set", "lo", "up"])
        copied, real = commands.run(words, namespace.name), started(namespace, *words)

    assert (real.returncode, real.stdout, real.stderr) == (
        copied.returncode, copied.stdout, copied.stderr,
    )  # fmt: skip


def test_a_copy_sees_the_bridges_of_its_namespace() -> None:
    """They are those in /sys, which belongs to the namespace that mounted it."""
    requires("root", "netns", "nft")
    with network_namespace("nft") as namespace:
        for words in ("name cni0 type bridge", "name pod1 type veth peer name pod1-eth0"):
            namespace.run(["ip", "link", "add", *words.split()])
        namespace.run(["ip", "link", "set", "pod1", "master", "cni0"])
        documents = [
            json.loads(done.stdout)
            for done in (commands.run(["snapshot"], namespace.name), started(namespace, "snapshot"))
        ]

    copied, real = (document["bridges"] for document in documents)
    assert real == copied
    assert "cni0" in str(copied)
