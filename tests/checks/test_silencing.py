"""The annotation that silences findings: every part of it does, or is said to be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.checks import CODES, Finding
from nptables.checks.silencing import IgnoreRule, read_annotation

WORDS = st.one_of(
    st.sampled_from(["NPT102", "npt205", "external-ips", "NPT1", "=", ";", "\n", " ", "why"]),
    st.text(max_size=8),
)


@given(st.lists(WORDS, max_size=10).map("".join))
def test_each_part_of_an_annotation_silences_a_code_or_is_said_to_be_wrong(text: str) -> None:
    reasons, wrong = read_annotation(text)

    parts = [part for line in text.split("\n") for part in line.split(";") if part.strip()]
    # A code that stands there twice counts once, with the last reason.
    assert len(wrong) <= len(parts) <= len(wrong) + text.count("=")
    assert reasons.keys() <= CODES.keys()
    assert all(reason.strip() and "\n" not in reason for reason in reasons.values())
    assert all(message.isprintable() for message in wrong)


def test_a_reason_may_hold_what_stands_between_code_and_reason() -> None:
    assert read_annotation("NPT102=a=b, c; \n external-ips = ours\n") == (
        {"NPT102": "a=b, c", "NPT205": "ours"},
        [],
    )


@pytest.mark.parametrize(
    ("glob", "covered"),
    [
        ("", True),
        ("shop/web", True),
        ("shop/*", True),
        ("w?b", True),
        ("*/db", False),
        ("SHOP/*", False),
    ],
)
def test_a_rule_covers_services_by_name_or_by_namespace_and_name(glob: str, covered: bool) -> None:  # noqa: FBT001
    rule = IgnoreRule("NPT205", "ours", ".nptables.yaml", glob)

    assert covered == rule.covers(Finding(CODES["NPT205"], "x", "Service", "shop", "web"))
    assert not rule.covers(Finding(CODES["NPT102"], "x", "Service", "shop", "web"))
    # A glob is about Services; a rule without one about whatever has the code.
    assert rule.covers(Finding(CODES["NPT205"], "x", "Node", "", "web")) == (not glob)
