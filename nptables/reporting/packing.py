"""Parts of a page that are unpacked on demand."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence

import attrs

# So many parts are packed together: much alike, they take a tenth of the space.
_TOGETHER = 40
# For zlib: the largest window (15), in what gzip puts around it (16), as DecompressionStream of
# browsers wants it.
_GZIP = 31


@attrs.frozen
class Packed:
    """The packed parts, by number, and in which of them each part is."""

    texts: tuple[str, ...]
    where: Mapping[str, int]


def packed(parts: Sequence[Mapping[str, str]]) -> Packed:
    """Parts by name, packed in their order; those of one mapping stay together."""
    texts: list[str] = []
    where: dict[str, int] = {}
    for together in _batches(parts):
        where.update(dict.fromkeys(together, len(texts)))
        data = json.dumps(together, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
        packer = zlib.compressobj(9, wbits=_GZIP)
        texts.append(base64.b64encode(packer.compress(data) + packer.flush()).decode())
    return Packed(tuple(texts), where)


def _batches(parts: Sequence[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    for first in range(0, len(parts), _TOGETHER):
        together: dict[str, str] = {}
        for some in parts[first : first + _TOGETHER]:
            together.update(some)
        yield together
