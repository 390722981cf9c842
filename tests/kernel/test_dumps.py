"""Both backends load the dumps under fixtures/dumps and print the same rules again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from tests.support.dumps import Dump, dumps
from tests.support.requirements import requires

if TYPE_CHECKING:
    from tests.support import netns as support
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("dump", dumps(), ids=str)
def test_the_kernel_takes_a_dump_and_prints_it_again(dump: Dump, netns: Namespace) -> None:
    ipv4 = dump.family is Family.IPV4
    family: support.Family = "IPV4" if ipv4 else "IPV6"
    if dump.sets:
        requires("ipset")
    for name in dump.sets:
        netns.run(["ipset", "create", name, "hash:ip,port", "family", "inet" if ipv4 else "inet6"])

    netns.restore(dump.text, family)

    printed = [line for line in netns.save(family).splitlines() if line[:2] == "-A"]
    # The backends print their tables in different orders.
    assert sorted(dump.rule_lines) == sorted(printed)
