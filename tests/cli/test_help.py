"""What every command says of itself."""

from __future__ import annotations

import pytest

from nptables.cli import main
from nptables.cli.app import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_marks_for_whoever_formats_it_and_fits_80_columns(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0

    out = capsys.readouterr().out
    assert "\\b" not in out
    assert "\b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_examples_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["trace", "--help"])

    examples = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("  nptables trace")
    ]
    assert len(examples) == 2
