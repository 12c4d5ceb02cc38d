/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on RP2040: the serial flash that the core runs from, by the functions of the
 * boot ROM (RP2040 Datasheet, 2.8.3).
 *
 * A unit is a page: unit_bytes is 256. A slot is whole sectors of 4 KB. While flash is busy nothing
 * can be read from it, not even an instruction: the function that changes it lies in RAM, in the
 * section .ramfunc, which the linker script must place and the start-up code must copy as it does
 * .data. Interrupts are off meanwhile: for a sector 45 ms, or 400 at worst. Core 1 and the DMA must
 * keep away from flash themselves.
 *
 * Afterwards flash is read by the command 03h, at the clock of before: as a second stage of the
 * boot sets it that does so too (spela-mcu's port/boot.c). With another, which reads faster, these
 * functions refuse; the Pico SDK's hardware_flash knows how to go back to its own.
 */
#include "spela_store.h"

#define SSI_CTRLR0 (*(volatile uint32_t *)0x18000000U)
#define SSI_SSIENR (*(volatile uint32_t *)0x18000008U)
#define SSI_BAUDR  (*(volatile uint32_t *)0x18000014U)

#define CTRLR0_READ_03H 0x001F0300U /* 32 bits of data, after a command, on one line */

#define FLASH_START  0x10000000U
#define FLASH_BYTES  0x01000000U /* at most */
#define SECTOR_BYTES 4096U
#define PAGE_BYTES   256U
#define BLOCK_BYTES  0x10000U /* what BLOCK_ERASE erases: never asked for */
#define BLOCK_ERASE  0xD8U

/* Where the ROM says what it has (2.8.3.1). */
#define ROM_FUNCTIONS  0x14U
#define ROM_LOOKUP     0x18U
#define ROM_CODE(a, b) ((uint32_t)(a) | ((uint32_t)(b) << 8))

typedef struct {
    void (*connect_internal_flash)(void);
    void (*flash_exit_xip)(void);
    void (*flash_range_erase)(uint32_t offset, size_t bytes, uint32_t block_bytes, uint8_t command);
    void (*flash_range_program)(uint32_t offset, const uint8_t *data, size_t bytes);
    void (*flash_flush_cache)(void);
    void (*flash_enter_cmd_xip)(void);
} rom_t;

typedef uintptr_t (*rom_lookup_t)(uintptr_t table, uint32_t code);

static uintptr_t rom_half(uint32_t address) {
    const volatile uint16_t *volatile const place = (const volatile uint16_t *)(uintptr_t)address;
    return *place;
}

static uintptr_t rom_function(uint32_t code) {
    const rom_lookup_t lookup = (rom_lookup_t)rom_half(ROM_LOOKUP);
    return lookup(rom_half(ROM_FUNCTIONS), code);
}

/**
 * Programs a page, or erases a sector if there is no data. From the first call to the last nothing
 * here may come from flash: no function but the ROM's, no constant, no interrupt.
 */
__attribute__((section(".ramfunc"), noinline)) static void change(const rom_t *rom, uint32_t offset,
                                                                  const uint32_t *data) {
    const uint32_t clock = SSI_BAUDR;
    uint32_t primask;
    __asm__ volatile("mrs %0, primask\n cpsid i" : "=r"(primask) : : "memory");
    rom->connect_internal_flash();
    rom->flash_exit_xip();
    if (data == NULL) {
        rom->flash_range_erase(offset, SECTOR_BYTES, BLOCK_BYTES, BLOCK_ERASE);
    } else {
        rom->flash_range_program(offset, (const uint8_t *)data, PAGE_BYTES);
    }
    rom->flash_flush_cache();
    rom->flash_enter_cmd_xip(); /* at a sixth of the core's clock */
    SSI_SSIENR = 0U;
    SSI_BAUDR = clock;
    SSI_SSIENR = 1U;
    __asm__ volatile("msr primask, %0" : : "r"(primask) : "memory");
}

/** Erases or programs; `address` is checked. */
static bool change_flash(uint32_t address, const uint32_t *data) {
    if (SSI_CTRLR0 != CTRLR0_READ_03H) {
        return false;
    }
    const rom_t rom = {
        (void (*)(void))rom_function(ROM_CODE('I', 'F')),
        (void (*)(void))rom_function(ROM_CODE('E', 'X')),
        (void (*)(uint32_t, size_t, uint32_t, uint8_t))rom_function(ROM_CODE('R', 'E')),
        (void (*)(uint32_t, const uint8_t *, size_t))rom_function(ROM_CODE('R', 'P')),
        (void (*)(void))rom_function(ROM_CODE('F', 'C')),
        (void (*)(void))rom_function(ROM_CODE('C', 'X')),
    };
    change(&rom, address - FLASH_START, data);
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
        if (!change_flash(address + done, NULL)) {
            return false;
        }
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    return store->unit_bytes == PAGE_BYTES && change_flash(address, data);
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
