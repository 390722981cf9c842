"""Words are split as iptables-restore splits them and quoted as iptables-save quotes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.errors import RuleSyntaxError
from nptables.iptables.words import always_quoted, bare, save_string, split, split_marked

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("-A INPUT", ["-A", "INPUT"]),
        ("  -A \t INPUT  ", ["-A", "INPUT"]),
        ('--comment "a b" -j', ["--comment", "a b", "-j"]),
        ('--comment ""', ["--comment", ""]),
        (r'--comment "a\"b\\c\'d"', ["--comment", "a\"b\\c'd"]),
        (r"--comment a\b", ["--comment", r"a\b"]),
        ('x"y z"', ["xy z"]),
        ('"a"b', ["a", "b"]),
        ('"a""b"', ["a", "b"]),
        ('a "b"\t"c" d', ["a", "b", "c", "d"]),
        ("a\u00a0b\u2028c\rd", ["a\u00a0b\u2028c\rd"]),
    ],
)
def test_a_line_splits_where_the_real_program_splits_it(line: str, expected: list[str]) -> None:
    assert expected == split(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('--comment "a b', "a quote is opened and never closed"),
        ('--comment "a b\\"', "a quote is opened and never closed"),
        ('"', "a quote is opened and never closed"),
        ("-A INPUT\n-A OUTPUT", "a line break inside a rule"),
        ("-A INPUT\0", "a NUL character inside a rule"),
    ],
)
def test_a_line_that_cannot_be_split_is_refused(line: str, message: str) -> None:
    with pytest.raises(RuleSyntaxError, match=message) as caught:
        split(line)

    assert line == caught.value.line


def test_quotes_are_remembered() -> None:
    assert split_marked('-m "-j" ""') == (["-m", "-j", ""], {1, 2})
    assert split_marked(r'-m "a\'b" c') == (["-m", "a'b", "c"], {1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KUBE-MARK_MASQ-1", "KUBE-MARK_MASQ-1"),
        ("default/web:http", '"default/web:http"'),
        ("", '""'),
        ("it's", r'"it\'s"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("ß", '"ß"'),
    ],
)
def test_text_is_quoted_as_xtables_save_string_does(text: str, expected: str) -> None:
    assert expected == save_string(text)


@given(TEXT)
def test_quoted_text_is_read_back_as_one_word(text: str) -> None:
    assert [text] == split(save_string(text))
    assert [text] == split(always_quoted(text))
    assert [text] == split(bare(text))


@given(st.lists(TEXT))
def test_words_survive_being_joined_and_split(texts: list[str]) -> None:
    assert texts == split(" ".join(map(bare, texts)))


def test_half_a_megabyte_of_backslashes_is_split_in_no_time() -> None:
    text = "\\" * 250_000 + "'\"" * 125_000

    assert [text] == split(save_string(text))
