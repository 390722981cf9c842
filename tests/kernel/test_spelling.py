"""What iptables-save prints for a rule is the normal form of every way to write it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from nptables.family import Family
from nptables.iptables.spelling import normal_form
from tests.support.netns import FAMILIES
from tests.support.requirements import requires
from tests.support.spellings import spellings

if TYPE_CHECKING:
    from tests.support import netns as support
    from tests.support.netns import Namespace

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("family", FAMILIES)
def test_the_kernel_prints_the_normal_form(family: support.Family, netns: Namespace) -> None:
    requires("ipset", "nfacct", "nfacct objects")
    netns.run(["ipset", "create", "probe4", "hash:ip,port"])
    netns.run(["nfacct", "add", "probe"])
    lines = defaultdict(list)
    for spelling in spellings():
        if spelling.family is Family[family] and not spelling.refused:
            lines[spelling.table].append(spelling.line)

    for table, written in lines.items():
        text = "\n".join([f"*{table}", ":TARGET - [0:0]", *written, "COMMIT", ""])
        netns.restore(text, family)
        saved = netns.run([netns.program(family, "save"), "-t", table]).stdout
        printed = [line for line in saved.splitlines() if line.startswith("-A")]

        expected = [normal_form(line, Family[family]) for line in written]
        # Saved text is ordered by chain, what is written is not.
        assert sorted(expected) == sorted(printed)
