"""How deep a JSON text is nested is known without parsing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.sources.text import Input, parse_text
from nptables.sources.text.nesting import is_too_deep

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\né\n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 5), st.booleans())
def test_it_is_as_deep_as_the_value(value: Any, deepest: int, ascii_only: bool) -> None:  # noqa: FBT001
    """Brackets in texts do not count, whatever escapes stand around them."""
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert (depth(value) > deepest) == is_too_deep(text, deepest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 200, False),
        ("[" * 201, True),
        ("[" * 200 + "]" * 200, False),
        ("[" * 201 + "]" * 201, True),
        ('{"a":' * 201, True),
        ("[" * 101 + "[" * 100 + "]" * 100, True),
        ("[]" * 10_000, False),
        ('{"a": "' + "[" * 10_000 + '"}', False),
    ],
)
def test_what_is_cut_off_counts_as_it_stands(text: str, expected: bool) -> None:  # noqa: FBT001
    assert expected == is_too_deep(text)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_what_is_nested_without_end_is_a_problem_and_not_the_end(opening: str) -> None:
    """Also where nothing stops the parser before the stack ends: this runs in WebAssembly, too."""
    documents, problems = parse_text(Input("deep.json", opening * 100_000))

    assert documents == []
    assert [problem.message for problem in problems] == ["is nested more than 200 levels deep"]
