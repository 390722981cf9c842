"""`python restricted.py UNIT PROGRAM...`: a program under a unit's restrictions of system calls.

They are those of systemd's options RestrictAddressFamilies, MemoryDenyWriteExecute,
RestrictNamespaces and SystemCallArchitectures, with the same answers. It is for tests only, where
no systemd is process 1, and runs without any other module of the tests.
"""

from __future__ import annotations

import configparser
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SET_SECCOMP, FILTER = 22, 2
LOAD, AND, EQUAL, BITS, RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST, THIRD = 0, 4, 16, 32
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
WRITABLE, EXECUTABLE = 2, 4
NEW_NAMESPACE = 0x7E020080

# The kernel's number for an architecture, and what it calls these there.
NAMES = ("socket", "mmap", "mprotect", "pkey_mprotect", "shmat", "unshare", "setns", "clone")
NUMBERS = {
    "x86_64": (0xC000003E, (41, 9, 10, 329, 30, 272, 308, 56)),
    "aarch64": (0xC00000B7, (198, 222, 226, 288, 196, 97, 268, 220)),
}
CLONE3 = 435
SHM_EXEC = 0o100000

Instruction = tuple[int, int, int, int]


def instructions(service: configparser.SectionProxy) -> list[Instruction]:
    """The filter for the options of a unit's [Service]."""
    architecture, numbers = NUMBERS[platform.machine()]
    number = dict(zip(NAMES, numbers, strict=True))
    program: list[Instruction] = []
    if service.get("SystemCallArchitectures") == "native":
        program += [
            (LOAD, 0, 0, ARCHITECTURE),
            (EQUAL, 1, 0, architecture),
            refusal(errno.EPERM),
        ]
    if families := service.get("RestrictAddressFamilies"):
        known = [int(getattr(socket, name)) for name in families.split()]
        program += where(
            number["socket"],
            (LOAD, 0, 0, FIRST),
            *((EQUAL, len(known) - index, 0, family) for index, family in enumerate(known)),
            refusal(errno.EAFNOSUPPORT),
        )
    if service.getboolean("MemoryDenyWriteExecute", fallback=False):
        both = WRITABLE | EXECUTABLE
        program += where(
            number["mmap"],
            (LOAD, 0, 0, THIRD),
            (AND, 0, 0, both),
            (EQUAL, 0, 1, both),
            refusal(errno.EPERM),
        )
        for name, bits in (
            ("mprotect", EXECUTABLE),
            ("pkey_mprotect", EXECUTABLE),
            ("shmat", SHM_EXEC),
        ):
            program += where(number[name], *with_bits(THIRD, bits))
    if service.getboolean("RestrictNamespaces", fallback=False):
        program += where(number["clone"], *with_bits(FIRST, NEW_NAMESPACE))
        program += where(number["unshare"], *with_bits(FIRST, NEW_NAMESPACE))
        program += where(number["setns"], refusal(errno.EPERM))
        program += where(CLONE3, refusal(errno.ENOSYS))
    return [*program, (RETURN, 0, 0, ALLOW)]


def where(number: int, *block: Instruction) -> list[Instruction]:
    """Instructions for one system call only."""
    return [(LOAD, 0, 0, NUMBER), (EQUAL, 0, len(block), number), *block]


def with_bits(argument: int, bits: int) -> list[Instruction]:
    """Refuse a call one of whose arguments has any of these bits."""
    return [(LOAD, 0, 0, argument), (BITS, 0, 1, bits), refusal(errno.EPERM)]


def refusal(code: int) -> Instruction:
    return (RETURN, 0, 0, REFUSE | code)


def restrict(program: list[Instruction]) -> None:
    """Put a filter in force for this process and all that it starts."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    described = struct.pack("@HP", len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(SET_SECCOMP, FILTER, ctypes.c_char_p(described), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"the filter is refused: {os.strerror(number)}")


if __name__ == "__main__":
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(sys.argv[1])
    restrict(instructions(unit["Service"]))
    os.execvp(sys.argv[2], sys.argv[2:])
