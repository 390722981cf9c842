"""Test doubles for programs that use nptables: a kernel that is only memory."""

from nptables.testing.fake_kernel import FakeKernel

__all__ = ["FakeKernel"]
