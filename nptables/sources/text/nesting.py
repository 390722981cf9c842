"""Whether a JSON text is nested deeper than its parser can bear.

The parser is written in C and calls itself for each level. On a machine it notices in time; in
WebAssembly the stack is the browser's, and what goes beyond it ends the whole program.
"""

from __future__ import annotations

import re
import sys

from nptables.sources.text.parsed import DEEPEST

# What is no structure is left out, and braces become brackets.
_BARE = {code: None for code in range(128) if chr(code) not in '[]"'} | str.maketrans("{}", "[]")
IN_WEBASSEMBLY = sys.platform == "emscripten"


def is_too_deep(text: str, deepest: int = DEEPEST) -> bool:
    """Whether brackets and braces outside of texts are nested deeper than `deepest`.

    All at the speed of C: what is no structure is left out, then the innermost pairs, level by
    level. What is cut off counts as it stands.
    """
    if text.count("[") + text.count("{") <= deepest:
        return False
    bare = text.replace("\\\\", "").replace('\\"', "")
    if not bare.isascii():
        bare = re.sub(r"[^\x00-\x7f]+", "", bare)
    bare = re.sub(r"\"[^\"]*\"", "", bare.translate(_BARE)).replace('"', "")
    for level in range(deepest + 1):
        left = bare.replace("[]", "")
        if left == bare:
            return level + bare.count("[") > deepest
        bare = left
    return True
