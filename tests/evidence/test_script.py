"""deploy/snapshot.sh is what any POSIX shell takes, and asks for what the command asks for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from nptables.evidence.processes import HANDLERS
from nptables.evidence.secrets import without_secrets
from nptables.evidence.settings import SYSCTLS
from tests.support.requirements import requires

SCRIPT = Path("deploy/snapshot.sh")
CHECKS = {
    "dash": ["dash", "-n"],
    "busybox": ["busybox", "sh", "-n"],
    "bash": ["bash", "--posix", "-n"],
    "shellcheck": ["shellcheck", "-s", "sh"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_script_is_plain_shell(check: str) -> None:
    requires(check)
    done = subprocess.run([*CHECKS[check], SCRIPT], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_script_knows_the_same_programs_and_settings() -> None:
    words = set(re.findall(r"[^\s|()]+", SCRIPT.read_text()))

    assert words >= HANDLERS
    assert words >= set(SYSCTLS)


# One argument of each kind, and what may follow it.
ARGUMENTS = (
    "--proxy-mode=ipvs", "--token", "abc", "--token=abc", "-t", "abc", "-t=abc", "-v", "4",
    "--kubeconfig=/etc/kubeconfig.conf", "--kubeconfig", "/etc/k", "--kubeconfig", "a: b",
    "--kubeconfig=a: b\nc", "--datastore-endpoint=mysql://me:pw@tcp(db:3306)/k",
    "--kube-proxy-arg=token=abc", "--KEY-PASSWORD", "--x", "eyJhbGciOi.eyJ.x", "a\nb", "",
    "--hostname-override=monkey", "http://me:pw@host/", "two words", "--token", "--config=/c",
    "--x=" + "a" * 2000, "*", "\\n", "%s", "-felix", "-",
)  # fmt: skip


@pytest.mark.parametrize("shell", ["dash", "busybox", "bash"])
def test_the_script_leaves_out_the_secrets_that_the_command_leaves_out(shell: str) -> None:
    requires(shell)
    # All of the script up to what it does.
    functions = SCRIPT.read_text().partition('if [ "$(id -u)"')[0]
    given = "".join(f"{word}\n" for word in (w.replace("\n", "\1") for w in ARGUMENTS))
    argv = [*(["busybox", "sh"] if shell == "busybox" else [shell]), "-c"]
    done = subprocess.run(
        [*argv, f"{functions}\nwithout_secrets"],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )

    assert without_secrets(ARGUMENTS) == tuple(done.stdout.split("\n")[:-1])
