"""The kernel that is only memory refuses what the real one refuses, and changes nothing then."""

from __future__ import annotations

import pytest

from nptables.errors import KernelRefused
from nptables.testing import FakeKernel

START = """\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:USED - [0:0]
:FULL - [0:0]
:FREE - [0:0]
-A INPUT -j USED
-A FULL -j ACCEPT
COMMIT
"""


def fed(*lines: str) -> str:
    return "\n".join(("*filter", *lines, "COMMIT", ""))


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (["-A INPUT -j NOWHERE"], "-A INPUT -j NOWHERE"),
        (["-A NOWHERE -j ACCEPT"], "-A NOWHERE -j ACCEPT"),
        (["-X USED"], "-X USED"),
        (["-X FULL"], "-X FULL"),
        (["-X NOWHERE"], "-X NOWHERE"),
        (["-X INPUT"], "-X INPUT"),
        ([f":{'X' * 29} - [0:0]"], f":{'X' * 29} - [0:0]"),
        (["-D INPUT -j DROP"], "-D INPUT -j DROP"),
        (["-I INPUT 3 -j DROP"], "-I INPUT 3 -j DROP"),
        (["-A FREE -m nfacct --nfacct-name  absent"], "-A FREE -m nfacct --nfacct-name  absent"),
        (["-A FREE -j USED", "-A USED -j FREE"], "COMMIT"),
        ([":MINE"], ":MINE"),
        (["*nat"], "*nat"),
    ],
)
def test_what_the_kernel_refuses_is_refused_and_the_table_stays(
    lines: list[str], refused: str
) -> None:
    kernel = FakeKernel(save=START)
    before = kernel.read()

    with pytest.raises(KernelRefused) as caught:
        kernel.restore(fed("-A FULL -j DROP", *lines))

    assert caught.value.line == refused
    assert kernel.read() == before
    assert kernel.commits == []


def test_a_table_without_commit_is_refused_as_iptables_restore_does() -> None:
    """iptables-restore 1.8.9 says "COMMIT expected at line 3" and ends with 1."""
    kernel = FakeKernel()

    with pytest.raises(KernelRefused, match="COMMIT expected"):
        kernel.restore("*filter\n-A INPUT -j ACCEPT\n")

    assert kernel.read().tables == {}


def test_comments_and_blank_lines_are_skipped_in_a_table_too() -> None:
    """As in 1.8.9 of iptables-nft-restore and iptables-legacy-restore."""
    kernel = FakeKernel()

    kernel.restore("# one\n*filter\n# two\n\n-A INPUT -j ACCEPT\nCOMMIT\n")

    assert kernel.read().lines("filter", "INPUT") == ("-A INPUT -j ACCEPT",)


def test_a_chain_that_is_declared_is_emptied_and_a_policy_keeps_the_rules() -> None:
    kernel = FakeKernel(save=START)

    kernel.restore(fed(":FULL - [0:0]", ":INPUT ACCEPT [0:0]"))

    table = kernel.read().tables["filter"]
    assert table.chains["FULL"] == ()
    assert table.chains["INPUT"] == ("-A INPUT -j USED",)
    assert table.policies["INPUT"] == "ACCEPT"


def test_insertions_land_in_reverse_and_deletions_take_the_first() -> None:
    kernel = FakeKernel(save=START)

    kernel.restore(
        fed("-I FULL -j DROP", "-I FULL -j RETURN", "-A FULL -j DROP", "-D FULL -j DROP")
    )

    assert kernel.read().lines("filter", "FULL") == (
        "-A FULL -j RETURN",
        "-A FULL -j ACCEPT",
        "-A FULL -j DROP",
    )


def test_a_table_that_failed_leaves_the_one_before_it_accepted() -> None:
    kernel = FakeKernel()

    with pytest.raises(KernelRefused):
        kernel.restore("*filter\n:A - [0:0]\nCOMMIT\n*nat\n-A B -j ACCEPT\nCOMMIT\n")

    assert "A" in kernel.read().tables["filter"].chains
    assert "nat" not in kernel.read().tables


def test_an_nfacct_object_that_is_there_is_taken() -> None:
    kernel = FakeKernel(save=START, nfacct=["present"])

    kernel.restore(fed("-A FREE -m nfacct --nfacct-name  present"))

    assert len(kernel.commits) == 1
