"""Any sequence of changes leads to the rules that a translation from scratch gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis.stateful import invariant

from nptables.kernel.node.nfacct import COUNTERS
from nptables.testing import FakeKernel
from tests.support.following import FollowingMachine

if TYPE_CHECKING:
    from nptables import Family


class FollowingInMemory(FollowingMachine):
    """With a kernel that is only memory."""

    def make_backend(self, family: Family) -> FakeKernel:
        return FakeKernel(family, self.foreign, nfacct=COUNTERS, before_commit=self.failing)

    @invariant()
    def what_belongs_to_others_stays(self) -> None:
        self.check_foreign()


TestFollowing = FollowingInMemory.TestCase
TestFollowing.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
