"""Why a YAML text does not parse, for mistakes beyond those that have a file of their own."""

from __future__ import annotations

import pytest

from nptables.sources.text import Input, parse_text


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: \x01b\n", "1:4", "the text contains a control character"),
        ("a: {{ x }}\n b: c: d\n", "1:5", "this is a template"),
        ("a: 1\n{% if x %}\nb: 2\n", "2:1", "this is a template"),
        ("a: [1,\nb: 2\n", "1:1", '"[" is not closed'),
        ("a: [1, , 2]\n", "1:8", "a value is missing here"),
        ('a: "\\q"\n', "1:5", "a backslash in double quotes"),
        ("a: 'x' y\n", "1:8", "something follows the closing quote"),
        ("a: `x`\n", "1:4", "a value cannot begin with `"),
        ("a: & b\n", "1:5", "a value that begins with * or &"),
        ("a: 1\n b: 2\n", "2:2", '"b:" is indented under "a: 1"'),
        ("- a\nb: c\n", "2:1", "a field begins in the column of a list's items"),
        ("a:\n  b: 1\n c: 2\n", "3:2", "this line is indented less than the one above"),
        ("a: b\n- c\n", "2:1", 'a list item ("- ") stands'),
        ("{a: 1}\nb: 2\n", "2:1", "something follows the end of the document"),
        ("key\nother: 1\n", "1:1", "neither"),
        ("[[a]]: b\n", "1:1", "a key must be text"),
        ("a: &x [*x]\n", "1:8", "the anchor &x contains itself"),
        ("<<: [1]\n", "1:1", "<< must be given an object"),
    ],
)
def test_the_reason_is_put_into_words(text: str, place: str, said: str) -> None:
    _, problems = parse_text(Input("f.yaml", text))

    first = str(problems[0])
    assert said in first
    assert first.startswith(f"f.yaml:{place}: ")
