"""Versions of kube-proxy, as people and Node objects write them."""

from __future__ import annotations

import re

import attrs

_WRITTEN = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+-][0-9A-Za-z.+_-]*)?", re.ASCII)


@attrs.frozen(order=True)
class Version:
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
