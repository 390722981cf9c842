"""Any sequence of changes leads to the rules that a translation from scratch gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

from nptables.kernel.node.nfacct import COUNTERS
from nptables.testing import FakeKernel
from tests.support.following import FollowingMachine

if TYPE_CHECKING:
    from nptables import Family


class FollowingInMemory(FollowingMachine):
    """With a kernel that is only memory."""

    def make_backend(self, family: Family) -> FakeKernel:
        return FakeKernel(family, self.foreign, nfacct=COUNTERS, before_commit=self.failing)


TestFollowing = FollowingInMemory.TestCase
TestFollowing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
