"""Which findings a baseline lets pass, and which of its entries are gone."""

from __future__ import annotations

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from nptables.checks import CODES, Finding, Severity
from nptables.checks.baseline import Baseline, baseline_document

# Few of each, so that equal ones are frequent.
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from([CODES["NPT101"], CODES["NPT205"]]),
        st.sampled_from(["a", "b"]),
        st.just("Service"),
        st.just("default"),
        st.sampled_from(["web", "db"]),
        st.sampled_from([(), ("spec", "ports", 0)]),
        line=st.one_of(st.none(), st.integers(1, 9)),
        severity=st.sampled_from(Severity),
        set=st.sampled_from(["", "prod"]),
    ),
    max_size=8,
)


def baseline(findings: list[Finding]) -> Baseline:
    """What a file with the findings is read as."""
    return Baseline.read(json.loads(json.dumps(baseline_document(findings))), "old.json")


def finding(message: str = "here", **fields: object) -> Finding:
    return Finding(CODES["NPT205"], message, "Service", "default", "web", **fields)  # type: ignore[arg-type]


@given(FINDINGS, st.randoms(use_true_random=False))
def test_all_old_findings_pass_in_any_order_and_none_is_gone(
    findings: list[Finding], chance: random.Random
) -> None:
    again = list(findings)
    chance.shuffle(again)

    found, gone = baseline(findings).applied(again)

    assert [one.silence is not None for one in found] == [True] * len(findings)
    assert gone == ()


@given(FINDINGS, FINDINGS)
def test_every_entry_lets_one_finding_pass_or_is_gone(
    old: list[Finding], new: list[Finding]
) -> None:
    found, gone = baseline(old).applied(new)

    passed = sum(one.silence is not None for one in found)
    assert passed + len(gone) == len(old)


def test_of_two_alike_one_more_is_new() -> None:
    found, gone = baseline([finding("a")]).applied([finding("b"), finding("a")])

    # The one with the same message is the old one.
    assert [one.silence is not None for one in found] == [False, True]
    assert gone == ()


def test_a_message_that_changes_is_no_new_finding() -> None:
    found, _ = baseline([finding("on node1")]).applied([finding("on node1 and node2")])

    assert found[0].silence is not None


def test_a_finding_that_got_worse_is_new() -> None:
    old = [finding(severity=Severity.INFO)]

    found, gone = baseline(old).applied([finding(severity=Severity.ERROR)])

    assert found[0].silence is None
    assert len(gone) == 1


def test_the_file_has_no_lines() -> None:
    (entry,) = baseline_document([finding(file="web.yaml", line=7)])["findings"]

    assert not {"file", "line", "column"} & entry.keys()
