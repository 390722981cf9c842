"""Taking out of what a node tells everything that may be a secret.

Better too much than too little: what is left out here is needed by no question about rules.
deploy/snapshot.sh does the same to arguments with what a shell has, and what it prints comes
through here once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

LEFT_OUT = "(left out)"
# Longer arguments are contents of something rather than settings.
LONGEST_ARGUMENT = 1000

_WORDS = r"token|passw|passphrase|secret|credential|apikey|api-key|access-key|private|auth"
_SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
_FILE_NAME = re.compile(r"kubeconfig", re.IGNORECASE)
# A secret within a value: an option of another program, a URL with a user, a bearer token.
_SECRET_VALUE = re.compile(rf"(?:{_WORDS})[^=:]*[=:]|://[^/]*@|eyJ", re.IGNORECASE)
# It is unknown what an option of one letter is, except the verbosity.
_ONE_LETTER = re.compile(r"-[^-v]")


def without_secrets(arguments: Sequence[str]) -> tuple[str, ...]:
    """Arguments of a program, what may be secret replaced by LEFT_OUT."""
    kept = []
    asked = ""
    for argument in arguments:
        name, given, value = argument.partition("=")
        # The value of the option before; a value may begin with one dash.
        if asked and not argument.startswith("--"):
            kept.append(argument if asked == "file" and _is_path(argument) else LEFT_OUT)
            asked = ""
            continue
        asked = ""
        if not argument.startswith("-"):
            kept.append(LEFT_OUT if _looks_secret(argument) else argument)
            continue
        if _looks_secret(name):
            kept.append(LEFT_OUT)
            continue
        kind = _kind(name)
        if not given:
            asked = kind
            kept.append(argument)
        elif (kind and not (kind == "file" and _is_path(value))) or _looks_secret(value):
            kept.append(f"{name}={LEFT_OUT}")
        else:
            kept.append(argument)
    return tuple(kept)


def without_secret_fields(value: Any) -> Any:
    """A configuration without how its program reaches the API server, and without secret fields."""
    if isinstance(value, Mapping):
        return {
            key: LEFT_OUT
            if _SECRET_NAME.search(str(key)) and isinstance(inner, str | list | Mapping)
            else without_secret_fields(inner)
            for key, inner in value.items()
            if key != "clientConnection"
        }
    if isinstance(value, list | tuple):
        return [without_secret_fields(inner) for inner in value]
    return LEFT_OUT if isinstance(value, str) and _looks_secret(value) else value


def _kind(name: str) -> str:
    """What an option takes: a secret, a file that may hold one, or an empty string."""
    if _SECRET_NAME.search(name) or _ONE_LETTER.fullmatch(name):
        return "secret"
    return "file" if _FILE_NAME.search(name) else ""


def _is_path(value: str) -> bool:
    return value.startswith(("/", "./", "../")) and not _looks_secret(value)


def _looks_secret(value: str) -> bool:
    return len(value) > LONGEST_ARGUMENT or "\n" in value or bool(_SECRET_VALUE.search(value))
