from __future__ import annotations

import pytest

from tests.support import requirements
from tests.support.requirements import requires

ABSENT = "no-such-program-anywhere"


def test_a_test_runs_where_all_it_needs_is_there() -> None:
    requires("sh")


def test_a_test_that_lacks_something_is_skipped_and_says_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requirements, "REQUIRED", False)

    with pytest.raises(pytest.skip.Exception, match=f"lacks the program {ABSENT}"):
        requires("sh", ABSENT)


def test_a_test_that_lacks_something_fails_where_kernel_tests_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requirements, "REQUIRED", True)

    with pytest.raises(pytest.fail.Exception, match=f"lacks the program {ABSENT}"):
        requires(ABSENT)


@pytest.mark.parametrize(
    ("browser", "program"), [("chromium", "chromium"), ("firefox", "firefox-esr")]
)
def test_a_test_without_its_browser_says_which_program_it_lacks(
    browser: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "REQUIRED", False)
    monkeypatch.setattr(requirements.shutil, "which", lambda _: None)
    requirements._reason_against.cache_clear()

    with pytest.raises(pytest.skip.Exception, match=f"lacks the program {program}$"):
        requires(browser)

    requirements._reason_against.cache_clear()


def test_without_root_every_feature_of_the_kernel_is_lacking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requirements, "REQUIRED", False)
    monkeypatch.setattr(requirements.os, "geteuid", lambda: 1000)
    requirements._reason_against.cache_clear()

    with pytest.raises(pytest.skip.Exception, match=r"lacks root$"):
        requires("root", "netns", "legacy")

    requirements._reason_against.cache_clear()
