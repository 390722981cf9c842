"""What a form of evidence does not show, in words."""

from __future__ import annotations

import pytest

from nptables.evidence.rules import _names, _tables, from_rules


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"nat"}, "table nat"),
        ({"filter", "nat"}, "tables nat and filter"),
        ({"security", "raw", "mangle", "filter", "nat"},
         "tables nat, filter, raw, mangle and security"),
        ({"mine", "filter"}, "tables filter and mine"),
    ],
)  # fmt: skip
def test_tables_are_listed_with_the_most_important_first(names: set[str], text: str) -> None:
    assert _tables(frozenset(names)) == text


def test_of_more_than_six_the_first_are_named() -> None:
    letters = list("abcdefgh")

    assert _names("line", letters[:1]) == "line a"
    assert _names("line", letters[:6]) == "lines a, b, c, d, e and f"
    assert _names("line", letters[:7]) == "lines a, b, c, d, e, f and 1 more"
    assert _names("line", letters) == "lines a, b, c, d, e, f and 2 more"


COLUMNS = "KUBE-SVC-A  tcp  --  0.0.0.0/0            10.96.0.10           "
ROW = f"{COLUMNS}/* default/web:http */ tcp dpt:80"


@pytest.mark.parametrize(
    ("last", "cut"),
    [
        # The comment does not end: lines were cut at its length, 72 characters.
        (ROW[:72], True),
        (ROW, False),
    ],
)
def test_a_comment_that_does_not_end_shows_that_lines_were_cut(last: str, *, cut: bool) -> None:
    text = (
        "Chain KUBE-SERVICES (2 references)\n"
        "target     prot opt source               destination\n"
        f"KUBE-SVC-B  tcp  --  0.0.0.0/0            10.96.0.11           tcp dpt:80\n{last}\n"
    )

    found = from_rules(text)

    assert found is not None
    said = [str(gap) for gap in found.gaps]
    assert cut is any("the lines of the listing are cut off" in gap for gap in said)
