"""The names of chains are made many at once, and are those that each has by itself."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from nptables.translation.chains import endpoint_chains, hashes


def by_itself(text: str) -> str:
    """As kube-proxy's `portProtoHash` makes it: base32 of SHA-256, cut after 16 characters."""
    return b32encode(sha256(text.encode()).digest()).decode()[:16]


@given(st.lists(st.text(), max_size=20), st.integers(1, 20))
def test_of_any_number_of_texts_each_has_its_own_name(some: list[str], times: int) -> None:
    """However many are put into base32 at once, and however these fall into groups."""
    texts = [f"{number}{text}" for number in range(times) for text in some]
    wanted = [by_itself(text) for text in texts]
    assert wanted == hashes(texts)
    assert [f"KUBE-SEP-{name}" for name in wanted] == endpoint_chains(texts)
