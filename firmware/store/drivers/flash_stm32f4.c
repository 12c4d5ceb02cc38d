/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on STM32F4 with one bank, up to 1 MB (RM0090, 3), supplied with 2.7 V or more:
 * below that a word cannot be programmed at once.
 *
 * A unit is a word: unit_bytes is 4. A slot is whole sectors: four of 16 KB, one of 64 KB, then of
 * 128 KB. A core that runs from flash is stalled while flash is busy, so that nothing of this need
 * run from RAM.
 */
#include "spela_store.h"

#define FLASH_ACR  (*(volatile uint32_t *)0x40023C00U)
#define FLASH_KEYR (*(volatile uint32_t *)0x40023C04U)
#define FLASH_SR   (*(volatile uint32_t *)0x40023C0CU)
#define FLASH_CR   (*(volatile uint32_t *)0x40023C10U)

#define KEY_1 0x45670123U
#define KEY_2 0xCDEF89ABU

#define ACR_DCEN  (1U << 10) /* data cache, off after reset */
#define ACR_DCRST (1U << 12)
#define CR_PG     (1U << 0)
#define CR_SER    (1U << 1)
#define CR_SNB    3U        /* position of the sector's number */
#define CR_WORDS  (2U << 8) /* PSIZE: 32 bits at once */
#define CR_STRT   (1U << 16)
#define CR_LOCK   (1U << 31)
#define SR_ERRORS 0x000000F3U /* and EOP: cleared by writing ones */
#define SR_FAULTS 0x000000F2U
#define SR_BSY    (1U << 16)

#define FLASH_START 0x08000000U
#define SECTORS     12U

static uint32_t sector_bytes(uint32_t sector) {
    return sector < 4U ? 0x4000U : sector == 4U ? 0x10000U : 0x20000U;
}

static void wait(void) {
    while ((FLASH_SR & SR_BSY) != 0U) {
        /* Up to 2 s for a sector of 128 KB. */
    }
}

static void unlock(void) {
    wait();
    if ((FLASH_CR & CR_LOCK) != 0U) {
        FLASH_KEYR = KEY_1;
        FLASH_KEYR = KEY_2;
    }
    FLASH_SR = SR_ERRORS;
}

/** Ends what unlock began; returns whether it went well. */
static bool lock(void) {
    const bool is_well = (FLASH_SR & SR_FAULTS) == 0U;
    FLASH_CR = CR_LOCK;
    return is_well;
}

static bool erase_sector(uint32_t sector) {
    unlock();
    FLASH_CR = CR_SER | (sector << CR_SNB) | CR_WORDS;
    FLASH_CR |= CR_STRT;
    wait();
    const bool is_erased = lock();
    if ((FLASH_ACR & ACR_DCEN) != 0U) {
        FLASH_ACR &=
            ~ACR_DCEN; /* the cache holds what was there before; reset it while it is off */
        FLASH_ACR |= ACR_DCRST;
        FLASH_ACR &= ~ACR_DCRST;
        FLASH_ACR |= ACR_DCEN;
    }
    return is_erased;
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    uint32_t first = 0U; /* the sectors of the slot, and where they begin */
    uint32_t start = FLASH_START;
    while (first < SECTORS && start != address) {
        start += sector_bytes(first);
        first++;
    }
    uint32_t last = first;
    uint32_t size = 0U;
    while (last < SECTORS && size < bytes) {
        size += sector_bytes(last);
        last++;
    }
    if (size != bytes) {
        return false; /* other sectors would be erased than are asked for */
    }
    for (uint32_t sector = first; sector < last; sector++) {
        if (!erase_sector(sector)) {
            return false;
        }
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    if (store->unit_bytes != 4U) {
        return false;
    }
    unlock();
    FLASH_CR = CR_PG | CR_WORDS;
    *(volatile uint32_t *)(uintptr_t)address = *data;
    wait();
    return lock();
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
