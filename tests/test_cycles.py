"""The estimate of cycles against sums done by hand from the cores' manuals."""

import struct

import pytest

from spela_mcu.cores import CORES, CORTEX_M
from spela_mcu.firmware.elf import Elf
from spela_mcu.simulators.cycles import estimate_cycles

AT = 0x100

MOVS, LDR, LDRH, BX_LR, MUL, BNE = 0x2001, 0x6801, 0x8801, 0x4770, 0x4341, 0xD1FE
STR_IMMEDIATE, STR_REGISTER, PUSH, POP_PC = 0x6001, 0x5081, 0xB510, 0xBD10
BL, LDM, LDRD = (0xF000, 0xF800), (0xE8B0, 0x00F0), (0xE9D1, 0x8902)
SMLAD, UDIV, DMB = (0xFB2C, 0x2208), (0xFBB0, 0xF0F1), (0xF3BF, 0x8F5F)
IT_NE, ADDNE = 0xBF18, 0x3001


def cycles(core, *code, times=1, others=()):
    """Cycles of one block, executed `times` times; `others` are entries behind it."""
    words = [half for one in code for half in (one if isinstance(one, tuple) else (one,))]
    data = struct.pack(f"<{len(words)}H", *words)
    behind = AT + len(data)
    elf = Elf(CORTEX_M, (), (), ((AT, data + struct.pack("<H", MOVS)),), (), ((AT, behind + 2),))
    blocks = {(AT, len(data)): times} | ({(behind, 2): others} if others else {})
    return estimate_cycles(elf, core, blocks)


@pytest.mark.parametrize(
    ("core", "code", "expected"),
    [
        ("cortex-m0plus", [MOVS, MUL], 2),
        ("cortex-m0plus", [LDR, LDR, STR_IMMEDIATE, STR_REGISTER], 8),
        ("cortex-m0plus", [PUSH], 3),
        ("cortex-m0plus", [POP_PC], 5),
        ("cortex-m0plus", [BL], 3),
        ("cortex-m0plus", [BX_LR], 2),
        ("cortex-m0plus", [DMB], 3),
        ("cortex-m0", [POP_PC], 6),
        ("cortex-m0", [BL], 4),
        ("cortex-m0", [BX_LR], 3),
        ("cortex-m0", [DMB], 4),
        ("cortex-m4", [LDR], 2),
        ("cortex-m4", [LDR, LDRH, LDR], 4),  # neighbours overlap
        ("cortex-m4", [LDR, MOVS, LDR], 5),
        ("cortex-m4", [STR_IMMEDIATE], 1),
        ("cortex-m4", [STR_REGISTER], 2),
        ("cortex-m4", [LDM], 5),
        ("cortex-m4", [LDRD], 3),
        ("cortex-m4", [SMLAD, MUL], 2),
        ("cortex-m4", [UDIV], 12),
        ("cortex-m4", [IT_NE, ADDNE], 2),
        ("cortex-m3", [PUSH, POP_PC], 3 + 5),
    ],
)
def test_blocks(core, code, expected):
    assert cycles(core, *code) == expected


@pytest.mark.parametrize(
    ("core", "taken", "passed"), [("cortex-m0", 3, 1), ("cortex-m0plus", 2, 1), ("cortex-m4", 3, 1)]
)
def test_a_branch_costs_more_when_it_is_taken(core, taken, passed):
    # Ten times round; the run goes on behind the branch once.
    assert cycles(core, MOVS, BNE, times=10, others=1) == 10 + 9 * taken + passed + 1


def test_cores_without_published_timings():
    assert CORES["cortex-m7"].timing is None
    with pytest.raises(ValueError, match="no timings of a cortex-m55"):
        cycles("cortex-m55", MOVS)
