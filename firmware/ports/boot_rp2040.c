/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second stage of RP2040's boot (RP2040 Datasheet, 2.8.1.3): the first 256 bytes of flash. The
 * boot ROM copies them to the end of SRAM5 and calls them there, if their last word is the CRC of
 * the others (CRC-32/MPEG-2); spela-mcu's build checks it as well.
 *
 * They set the flash interface (SSI, 4.10) to reading by the command 03h, which every flash chip
 * knows: one data line, no dummy cycles, at a quarter of the core's clock. Then they enter the
 * firmware as a core does on reset: with the vector table that follows, its stack and its start.
 */
void port_boot(void);

__asm__(".syntax unified\n"
        ".pushsection .boot, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global port_boot\n"
        ".type port_boot, %function\n"
        ".thumb_func\n"
        "port_boot:\n"
        "  ldr  r0, .Lssi\n"
        "  movs r1, #0\n"
        "  str  r1, [r0, #0x08]\n" /* SSIENR: off, while it is changed */
        "  str  r1, [r0, #0x04]\n" /* CTRLR1: one word a transfer */
        "  movs r1, #4\n"
        "  str  r1, [r0, #0x14]\n" /* BAUDR: clock / 4 */
        "  ldr  r1, .Lframe\n"
        "  str  r1, [r0, #0x00]\n" /* CTRLR0 */
        "  ldr  r1, .Lcommand\n"
        "  movs r2, #0xF4\n"
        "  str  r1, [r0, r2]\n" /* SPI_CTRLR0 */
        "  movs r1, #1\n"
        "  str  r1, [r0, #0x08]\n" /* SSIENR: on */
        "  ldr  r0, .Lvectors\n"
        "  ldr  r1, .Lvtor\n"
        "  str  r0, [r1]\n"
        "  ldr  r1, [r0, #0]\n"
        "  msr  msp, r1\n"
        "  ldr  r1, [r0, #4]\n"
        "  bx   r1\n"
        ".balign 4\n"
        ".Lssi:     .word 0x18000000\n"
        ".Lframe:   .word 0x001F0300\n" /* 32 bits (31 << 16); command, then data (3 << 8) */
        ".Lcommand: .word 0x03000218\n" /* 03h, of 8 bits (2 << 8); address of 24 bits (6 << 2) */
        ".Lvectors: .word 0x10000100\n"
        ".Lvtor:    .word 0xE000ED08\n"
        ".space 252 - (. - port_boot)\n"
        ".word 0x53558757\n" /* the CRC */
        ".size port_boot, . - port_boot\n"
        ".popsection\n");
