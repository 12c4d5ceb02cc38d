/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on RP2040: the serial flash that the core runs from, by the functions of the
 * boot ROM (RP2040 Datasheet, 2.8.3).
 *
 * A unit is a page: unit_bytes is 256. A slot is whole sectors of 4 KB. While flash is busy nothing
 * can be read from it, not even an instruction: the function that changes it lies in RAM, as data
 * that start-up code copies there (section .data). Interrupts are off meanwhile: for a sector 45
 * ms, or 400 at worst. Core 1 and the DMA must keep away from flash themselves.
 *
 * Afterwards flash is read by the command 03h, at the clock of before: as a second stage of the
 * boot sets it that does so too (spela-mcu's port/boot.c). With another, which reads faster, these
 * functions refuse; the Pico SDK's hardware_flash knows how to go back to its own.
 */
#include "spela_store.h"

#define SSI_CTRLR0 (*(volatile uint32_t *)0x18000000U)

#define CTRLR0_READ_03H 0x001F0300U /* 32 bits of data, after a command, on one line */

#define FLASH_START  0x10000000U
#define FLASH_BYTES  0x01000000U /* at most */
#define SECTOR_BYTES 4096U
#define PAGE_BYTES   256U
#define BLOCK_BYTES  0x10000U /* what BLOCK_ERASE erases: never asked for */
#define BLOCK_ERASE  0xD8U

/* Names of the ROM's functions (2.8.3.1). */
#define ROM_CODE(a, b) ((uint32_t)(a) | ((uint32_t)(b) << 8))

/** What flash_rp2040_run does: addresses of the ROM's functions in their order. */
typedef struct {
    uint32_t connect_internal_flash;
    uint32_t flash_exit_xip;
    uint32_t operation;
    uint32_t flash_flush_cache;
    uint32_t flash_enter_cmd_xip;
    uint32_t arguments[4]; /* of the operation */
} sequence_t;

/** The address of a function of the ROM. */
uint32_t flash_rp2040_find(uint32_t code);

/** Calls the sequence, from RAM and with interrupts off, and sets flash to its clock of before. */
void flash_rp2040_change(const sequence_t *sequence);

/*
 * In assembly, so that its size in RAM is known, and that no compiler puts a constant or a call of
 * its own into what runs while flash is busy.
 */
__asm__(".syntax unified\n"
        ".pushsection .text.flash_rp2040_find, \"ax\", %progbits\n"
        ".balign 4\n"
        ".type flash_rp2040_find, %function\n"
        ".global flash_rp2040_find\n"
        ".thumb_func\n"
        "flash_rp2040_find:\n"
        "  movs r1, r0\n"
        "  movs r2, #0x14\n"
        "  ldrh r0, [r2, #0]\n" /* the table of functions */
        "  ldrh r2, [r2, #4]\n" /* the function that looks them up */
        "  bx   r2\n"
        ".size flash_rp2040_find, . - flash_rp2040_find\n"
        ".popsection\n"

        ".pushsection .text.flash_rp2040_change, \"ax\", %progbits\n"
        ".balign 4\n"
        ".type flash_rp2040_change, %function\n"
        ".global flash_rp2040_change\n"
        ".thumb_func\n"
        "flash_rp2040_change:\n"
        "  ldr  r3, .Lrun\n" /* too far for a branch */
        "  bx   r3\n"
        ".balign 4\n"
        ".Lrun: .word flash_rp2040_run\n"
        ".size flash_rp2040_change, . - flash_rp2040_change\n"
        ".popsection\n"

        ".pushsection .data.flash_rp2040_run, \"aw\", %progbits\n"
        ".balign 4\n"
        ".type flash_rp2040_run, %function\n"
        ".thumb_func\n"
        "flash_rp2040_run:\n"
        "  push {r3-r7, lr}\n"
        "  movs r4, r0\n"
        "  mrs  r5, primask\n"
        "  cpsid i\n"
        "  ldr  r6, .Lssi\n"
        "  ldr  r7, [r6, #0x14]\n" /* BAUDR */
        "  ldr  r3, [r4, #0]\n"
        "  blx  r3\n" /* connect_internal_flash */
        "  ldr  r3, [r4, #4]\n"
        "  blx  r3\n" /* flash_exit_xip: flash is busy from here */
        "  ldr  r0, [r4, #20]\n"
        "  ldr  r1, [r4, #24]\n"
        "  ldr  r2, [r4, #28]\n"
        "  ldr  r3, [r4, #8]\n"
        "  mov  ip, r3\n"
        "  ldr  r3, [r4, #32]\n"
        "  blx  ip\n"
        "  ldr  r3, [r4, #12]\n"
        "  blx  r3\n" /* flash_flush_cache */
        "  ldr  r3, [r4, #16]\n"
        "  blx  r3\n" /* flash_enter_cmd_xip: at a sixth of the core's clock */
        "  movs r0, #0\n"
        "  str  r0, [r6, #0x08]\n" /* SSIENR: off, while it is changed */
        "  str  r7, [r6, #0x14]\n"
        "  movs r0, #1\n"
        "  str  r0, [r6, #0x08]\n"
        "  msr  primask, r5\n"
        "  pop  {r3-r7, pc}\n"
        ".balign 4\n"
        ".Lssi: .word 0x18000000\n"
        ".size flash_rp2040_run, . - flash_rp2040_run\n"
        ".popsection\n");

static bool change_flash(uint32_t code, const uint32_t arguments[4]) {
    if (SSI_CTRLR0 != CTRLR0_READ_03H) {
        return false;
    }
    const sequence_t sequence = {
        .connect_internal_flash = flash_rp2040_find(ROM_CODE('I', 'F')),
        .flash_exit_xip = flash_rp2040_find(ROM_CODE('E', 'X')),
        .operation = flash_rp2040_find(code),
        .flash_flush_cache = flash_rp2040_find(ROM_CODE('F', 'C')),
        .flash_enter_cmd_xip = flash_rp2040_find(ROM_CODE('C', 'X')),
        .arguments = {arguments[0], arguments[1], arguments[2], arguments[3]},
    };
    flash_rp2040_change(&sequence);
    return true;
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    const uint32_t start = address - FLASH_START;
    if (start % SECTOR_BYTES != 0U || bytes % SECTOR_BYTES != 0U || start >= FLASH_BYTES ||
        bytes > FLASH_BYTES - start) {
        return false; /* other sectors would be erased than are asked for */
    }
    for (uint32_t done = 0U; done < bytes; done += SECTOR_BYTES) {
        const uint32_t arguments[4] = {start + done, SECTOR_BYTES, BLOCK_BYTES, BLOCK_ERASE};
        if (!change_flash(ROM_CODE('R', 'E'), arguments)) {
            return false;
        }
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    const uint32_t arguments[4] = {address - FLASH_START, (uint32_t)(uintptr_t)data, PAGE_BYTES,
                                   0U};
    return store->unit_bytes == PAGE_BYTES && change_flash(ROM_CODE('R', 'P'), arguments);
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    (void)store;
    const volatile uint32_t *const words = (const volatile uint32_t *)(uintptr_t)address;
    for (uint32_t i = 0U; i < bytes / 4U; i++) {
        data[i] = words[i];
    }
    return true;
}
