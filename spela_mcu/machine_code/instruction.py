"""One instruction, and what is asked of an instruction set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from spela_mcu.cores import Extension

UNKNOWN = ".inst"
"""Name of an instruction that is not decoded; its code stands for the operands."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        size: 2 or 4 bytes.
        code: 16 or 32 bits; Thumb's with the first halfword in the upper half.
        name, operands: as in assembly; the target of a branch as an absolute address.
    """

    address: int
    size: int
    code: int
    name: str
    operands: str

    def __str__(self) -> str:
        return f"{self.name} {self.operands}".strip()


@dataclass(frozen=True)
class Flow:
    """What an instruction does to the stack pointer, and where execution goes on.

    Attributes:
        pushed: bytes by which it lowers the stack pointer.
        target: where it may branch to, or what it calls.
        is_call: it keeps the address to return to.
        is_call_by_pointer: so does this, but nobody knows what it calls.
        is_jump_by_table: its target comes from a table, or the return address from memory.
        ends: execution never continues with the following instruction.
        moves_stack: it sets the stack pointer to what is known only at run time.
    """

    pushed: int = 0
    target: int | None = None
    is_call: bool = False
    is_call_by_pointer: bool = False
    is_jump_by_table: bool = False
    ends: bool = False
    moves_stack: bool = False


class InstructionSet(ABC):
    """How a family's machine code is read.

    Attributes:
        code_mark: what the names of mapping symbols that start code begin with.
    """

    code_mark: str

    @abstractmethod
    def size(self, code: bytes) -> int:
        """Bytes of the instruction that begins with these two or more."""

    @abstractmethod
    def decode(self, address: int, code: bytes) -> Iterator[Instruction]:
        """The instructions of a stretch of code."""

    @abstractmethod
    def is_branch(self, code: bytes) -> bool:
        """Whether an instruction may go on elsewhere than behind it; not for every return."""

    @abstractmethod
    def flow(self, step: Instruction) -> Flow:
        """What an instruction does to stack and execution."""

    def literal(self, before: Instruction, step: Instruction) -> int | None:
        """Where the address lies that a call goes to, if the instruction before loads it."""
        return None

    @abstractmethod
    def extension(self, step: Instruction, *, mve: bool) -> Extension | None:
        """What an instruction needs of a core beyond the least of the family.

        Args:
            step: the instruction.
            mve: whether the core has vectors, which share encodings with what it then lacks.

        Raises:
            LookupError: no core has such an instruction.
        """

    def sizes(self, code: bytes) -> Iterator[int]:
        """Bytes of each instruction in a stretch of code."""
        at = 0
        while at < len(code):
            size = self.size(code[at : at + 2])
            yield size
            at += size
