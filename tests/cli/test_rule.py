"""`nptables rule`: what a check means, in the words of the documentation."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from nptables.checks import CODES
from nptables.cli import main
from nptables.sources.checks_page import paragraphs
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from nptables.checks import Code

PAGE = FIXTURES.parent / "docs" / "checks.md"


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_page_and_the_code_say_the_same(code: Code) -> None:
    """The effect and the remedy stand in findings, and end the paragraph of the page."""
    text = in_one_line(paragraphs()[code.code])

    assert text.startswith(f"*{code.severity.word}")
    ending = f"**What happens:** {code.effect} **What to do:** {code.remedy}"
    assert text.endswith(ending)


@pytest.mark.parametrize("word", ["NPT102", "npt102", "local-policy-gap"])
def test_a_code_gives_its_paragraph(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", word]) == 0

    out = capfd.readouterr().out
    # The heading as people read it, then what stands under `### NPT102` in docs/checks.md.
    assert out.startswith("NPT102 local-policy-gap (warning, info where load balancers know)\n\n")
    page = PAGE.read_text().partition("### NPT102: local-policy-gap\n")[2].partition("\n###")[0]
    body = page.strip().partition("\n\n")[2].replace("**", "")
    assert in_one_line(out.partition("\n\n")[2]) == in_one_line(body)
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_code_all_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rule"]) == 0

    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CODES)
    assert "NPT102  warning  local-policy-gap" in lines


def test_the_beginning_of_several_lists_these(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "NPT20"]) == 0

    found = re.findall(r"^NPT\d+", capfd.readouterr().out, re.MULTILINE)
    assert found == [f"NPT20{digit}" for digit in range(1, 8)]


def test_json_has_the_paragraph_as_the_page_writes_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rule", "NPT205", "-o", "json"]) == 0

    (rule,) = json.loads(capfd.readouterr().out)["rules"]
    assert (rule["code"], rule["name"], rule["severity"]) == ("NPT205", "external-ips", "warning")
    assert rule["text"] in PAGE.read_text()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("NPT1O2", "did you mean NPT102?"),
        ("local-policy-gab", "did you mean local-policy-gap?"),
        ("", "`nptables rule` lists them all"),
    ],
)
def test_a_code_that_there_is_not_gets_a_hint(
    word: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["rule", word]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert hint in err
