"""Versions of kube-proxy, as people and Node objects write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from nptables.errors import InvalidInput, Problem
from nptables.model.reading import quoted

_WRITTEN = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+-][0-9A-Za-z.+_-]*)?", re.ASCII)


class Version(NamedTuple):
    """A minor version of Kubernetes: patch releases make the same rules."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version in `1.30`, `v1.30.4` or `v1.30.4-eks-a18cd3a`, or None."""
        found = _WRITTEN.fullmatch(text.strip())
        return None if found is None else cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = Version(1, 27)
NEWEST = Version(1, 36)
# Every version whose rules are known, oldest first.
VERSIONS = tuple(Version(1, minor) for minor in range(OLDEST.minor, NEWEST.minor + 1))


def nearest_known(version: Version) -> Version:
    """The version itself where its rules are known, else the one that is nearest to it."""
    return min(max(version, OLDEST), NEWEST)


def read_version(version: str | Version | None) -> tuple[Version, list[str]]:
    """The version whose rules are made when `asked` is requested, and remarks about it.

    Raises InvalidInput for text that is not a version.
    """
    if version is None:
        return NEWEST, []
    asked = Version.parse(version) if isinstance(version, str) else version
    if asked is None:
        problem = Problem(
            f"{quoted(str(version))} is not a version", hint="such as 1.30 or v1.30.4"
        )
        raise InvalidInput([problem])
    meant = nearest_known(asked)
    if meant == asked:
        return meant, []
    extreme = "older than" if asked < OLDEST else "newer than"
    remark = (
        f"kube-proxy {asked} is {extreme} every version that nptables knows: the rules of {meant}, "
        f"the nearest, are used"
    )
    return meant, [remark]


def unknown_to(field: str, since: Version | None, version: Version) -> str:
    """The remark about a setting that a version does not have yet."""
    return (
        f"{field} has no effect: kube-proxy {version} does not know it, {since} is the first "
        "that does"
    )
