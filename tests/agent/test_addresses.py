"""When the node's addresses are read, and what counts while they cannot be."""

from __future__ import annotations

import pytest

from nptables.agent.node import Addresses
from nptables.errors import KernelBusy, KernelError, KernelRefused


class Node:
    """Addresses that can fail to be read, and a clock."""

    def __init__(self) -> None:
        self.time = 100.0
        self.held: dict[str, list[str]] | KernelError = {"eth0": ["192.168.0.2/24"]}
        self.complaints: list[str] = []
        self.addresses = Addresses(
            self.read, complain=self.complaints.append, clock=lambda: self.time
        )

    def read(self) -> dict[str, list[str]]:
        if isinstance(self.held, KernelError):
            raise self.held
        return self.held


def test_addresses_that_change_in_a_burst_are_read_once() -> None:
    node = Node()
    assert node.addresses.wait() == float("inf")
    node.addresses.changed()
    node.time += 0.25
    node.addresses.changed()
    assert node.addresses.wait() == 0.25
    node.time += 0.25
    assert node.addresses.wait() == 0
    assert node.addresses.now() == {"eth0": ["192.168.0.2/24"]}
    assert node.addresses.wait() == float("inf")


@pytest.mark.parametrize("error", [KernelRefused("ip: exit code 1"), KernelBusy("ip hangs")])
def test_what_was_known_counts_until_addresses_can_be_read_again(error: KernelError) -> None:
    node = Node()
    known = node.addresses.now()
    node.held = error
    assert node.addresses.now() == known
    assert node.complaints == [str(error)]
    assert node.addresses.wait() == 10.0
    node.held = {"eth0": []}
    node.time += 10
    assert node.addresses.wait() == 0
    assert node.addresses.now() == {"eth0": []}
    assert node.addresses.wait() == float("inf")
