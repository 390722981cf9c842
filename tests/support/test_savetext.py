from __future__ import annotations

import pytest

from tests.support.savetext import SHARED_CHAINS, differences, parse_save

DUMP = """\
*nat
:OUTPUT ACCEPT [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SERVICES - [0:0]
-A OUTPUT -j KUBE-SERVICES
-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment "ns/a:x" -j ONE
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns/a:x" -j ONE
-A KUBE-NODEPORTS -p tcp -m comment --comment "ns/b" -j TWO
-A KUBE-SERVICES -d 10.0.0.1/32 -p tcp -m comment --comment "ns/a:x cluster IP" -j ONE
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; x" -j KUBE-NODEPORTS
COMMIT
"""


def moved(text: str, line: int, to: int) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(to, lines.pop(line))
    return "".join(lines)


def test_a_dump_equals_itself() -> None:
    assert not differences(DUMP, DUMP)
    assert not differences(DUMP, DUMP, shared=SHARED_CHAINS)


def test_the_order_of_declarations_means_nothing() -> None:
    assert not differences(DUMP, moved(DUMP, 2, 3))


def test_service_ports_may_stand_in_any_order_in_a_shared_chain() -> None:
    other = moved(DUMP, 7, 5)

    assert not differences(DUMP, other, shared=SHARED_CHAINS)
    assert "nat KUBE-NODEPORTS" in differences(DUMP, other)


def test_the_rules_of_one_service_port_keep_their_order() -> None:
    assert "KUBE-NODEPORTS of ns/a:x" in differences(DUMP, moved(DUMP, 5, 6), shared=SHARED_CHAINS)


def test_the_jump_to_the_node_ports_stays_last() -> None:
    assert "after the jump" in differences(DUMP, moved(DUMP, 9, 8), shared=SHARED_CHAINS)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("-j TWO\n", "-j THREE\n", "+-A KUBE-NODEPORTS -p tcp"),
        ("OUTPUT ACCEPT", "OUTPUT DROP", "OUTPUT policy"),
        (":OUTPUT ACCEPT [0:0]\n", ":OUTPUT ACCEPT [0:0]\n:MORE - [0:0]\n", "MORE is not wanted"),
        ("-A OUTPUT -j KUBE-SERVICES\n", "-A OUTPUT -j KUBE-SERVICES\n" * 2, "nat OUTPUT"),
    ],
)
def test_every_other_change_is_a_difference(old: str, new: str, named: str) -> None:
    assert named in differences(DUMP, DUMP.replace(old, new), shared=SHARED_CHAINS)


def test_a_missing_chain_is_a_difference() -> None:
    more = DUMP.replace(":OUTPUT", ":MORE - [0:0]\n:OUTPUT")

    assert "MORE is missing" in differences(more, DUMP)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DUMP.replace("COMMIT\n", ""), "has no COMMIT"),
        ("# a comment\n" + DUMP, "not a line"),
        (DUMP.replace(":OUTPUT ACCEPT [0:0]\n", ""), "no such chain"),
        (DUMP.replace(":OUTPUT", ":KUBE-SERVICES - [0:0]\n:OUTPUT"), "declared twice"),
    ],
)
def test_what_iptables_save_never_prints_is_refused(text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        parse_save(text)
