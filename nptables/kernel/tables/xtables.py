"""The iptables programs of both backends: how they are called, and what their words mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from nptables.errors import BackendUnavailable, KernelBusy, KernelError, KernelRefused, printable
from nptables.family import Family
from nptables.kernel.programs import Completed, find_program
from nptables.kernel.tables.locks import busy, lock_holder

Kind = Literal["legacy", "nft"]
KINDS: tuple[Kind, ...] = ("legacy", "nft")


def stem(family: Family) -> str:
    """`iptables` or `ip6tables`."""
    return "iptables" if family is Family.IPV4 else "ip6tables"


def command(kind: Kind, family: Family, suffix: str = "") -> list[str]:
    """The words that start a program of a backend: iptables-nft-save, or what stands for it.

    Where there is no program of that name, the multi-call binary is taken. Raises
    BackendUnavailable where neither is there.
    """
    name = "-".join(filter(None, (stem(family), kind, suffix)))
    if found := find_program(name):
        return [found]
    if found := find_program(f"xtables-{kind}-multi"):
        return [found, "-".join(filter(None, (stem(family), suffix)))]
    raise BackendUnavailable(
        f"the program {name} is not installed, and the {kind} backend needs it: install it "
        "(Debian: iptables), or choose another --backend"
    )


def legacy_tables(family: Family, proc: Path = Path("/proc/net")) -> tuple[str, ...]:
    """The legacy tables that exist in this network namespace; looking creates none."""
    name = "ip_tables_names" if family is Family.IPV4 else "ip6_tables_names"
    try:
        return tuple((proc / name).read_text().split())
    except OSError:
        return ()


_NOT_ROOT = re.compile(r"you must be root|Permission denied|Operation not permitted")
_NO_SUPPORT = re.compile(
    r"can't initialize ip6?tables table|Table does not exist|Protocol not (?:supported|available)"
    r"|Address family not supported|Failed to initialize nft|do you need to insmod"
    r"|rule set generation id: (?:Invalid argument|Operation not supported)"
)
# What legacy says for want of rights as well as of support.
_NOT_OPENED = re.compile(r"unable to initialize table")
_LOCKED = re.compile(r"holding the xtables lock|Resource temporarily unavailable")
_FULL = re.compile(r"No space left on device|Read-only file system")
_UNPRINTABLE = re.compile(r"is incompatible, use 'nft' tool|Parsing nftables rule failed")
_COMPLAINT = re.compile(r"error|fail|incompatible|not supported|cannot|can't|unable", re.IGNORECASE)
_REMARK = re.compile(r"#|modprobe: ")
_NOISE = re.compile(r"^(?:Try `.*|Error occurred at line: \d+|Perhaps iptables or your kernel.*)$")


def classify(done: Completed, kind: Kind, waited: float, doing: str) -> KernelError:
    """What a program's exit code and words mean, by backend.

    Exit code 4 is a held lock on legacy, but any refusal of the kernel on nft.
    """
    words = done.stderr
    # By the words: legacy ends with RESOURCE_PROBLEM (4) also where the lock file cannot be opened
    # (xtables_lock_or_exit in iptables/xshared.c).
    if _LOCKED.search(words):
        if kind == "legacy":
            return busy(waited, lock_holder())
        return KernelBusy(f"{doing}: the kernel was busy with another change; try again")
    if _FULL.search(words) and "xtables.lock" in words:
        return BackendUnavailable(f"{doing}: {_said(words)}")
    if _NOT_ROOT.search(words):
        return BackendUnavailable(
            f"{doing} needs root (CAP_NET_ADMIN and CAP_NET_RAW): {_said(words)}"
        )
    if _NOT_OPENED.search(words):
        return BackendUnavailable(
            f"{doing}: the legacy tables cannot be opened, which takes root (CAP_NET_ADMIN and "
            f"CAP_NET_RAW) and a kernel that has them: {_said(words)}"
        )
    if _NO_SUPPORT.search(words):
        return BackendUnavailable(f"{doing}: this kernel lacks the tables: {_said(words)}")
    if done.code < 0:
        return KernelBusy(f"{doing}: the program was killed by signal {-done.code}")
    return KernelRefused(_said(words) or f"exit code {done.code}", code=done.code, stderr=words)


def cannot_be_printed(words: str) -> bool:
    """Whether iptables-nft says that it has no words for a rule."""
    return bool(_UNPRINTABLE.search(words))


def complaints(words: str) -> str:
    """What a program that ended well complained of on standard error, or an empty string.

    Remarks, which start with `#`, are none; neither is what modprobe says where it is not needed.
    """
    lines = [line for line in words.splitlines() if _COMPLAINT.search(line)]
    return _said("\n".join(line for line in lines if not _REMARK.match(line)))


def _said(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line for line in lines if not _NOISE.match(line)]
    return printable("; ".join(told or lines), 600)
