"""What somebody has of a node, from a file in whatever form."""

from __future__ import annotations

import os

from nptables.evidence import Evidence, Form
from nptables.family import Family
from nptables.iptables import read_dumps
from nptables.sources.text.files import read_one


def read_evidence(path: str | os.PathLike[str]) -> Evidence:
    """What a file, or `-` for standard input, has of a node. Raises InvalidInput."""
    text = read_one(path).text
    found = list(read_dumps(text))
    if found[0].family is Family.IPV4:
        known = [ruleset.tables for ruleset in found]
        found += [r for r in read_dumps(text, Family.IPV6) if r.tables not in known]
    return Evidence(Form.SAVED, tuple(found))
