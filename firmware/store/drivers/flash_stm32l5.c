/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on STM32L5 with 512 KB in two banks, as they are shipped: pages of 2 KB, banks
 * not swapped, TrustZone off (RM0438, 6; option bits DBANK, SWAP_BANK, TZEN). With other option
 * bits these functions refuse.
 *
 * A unit is a double word with its own ECC: unit_bytes is 8. A slot is whole pages. A double word
 * that a power cut tore raises the NMI when it is read: the firmware's NMI_Handler has to call
 * spela_flash_on_nmi. A core that runs from the same bank is stalled while flash is busy, so that
 * nothing of this need run from RAM.
 */
#include "flash_nmi.h"
#include "spela_store.h"

#define FLASH_NSKEYR (*(volatile uint32_t *)0x40022008U)
#define FLASH_NSSR   (*(volatile uint32_t *)0x40022020U)
#define FLASH_NSCR   (*(volatile uint32_t *)0x40022028U)
#define FLASH_ECCR   (*(volatile uint32_t *)0x40022030U)
#define FLASH_OPTR   (*(volatile uint32_t *)0x40022040U)
#define ICACHE_CR    (*(volatile uint32_t *)0x40030400U)
#define ICACHE_SR    (*(volatile uint32_t *)0x40030404U)

#define KEY_1 0x45670123U
#define KEY_2 0xCDEF89ABU

#define CR_PG      (1U << 0)
#define CR_PER     (1U << 1)
#define CR_PNB     3U /* position of the page's number within its bank */
#define CR_BKER    (1U << 11)
#define CR_STRT    (1U << 16)
#define CR_LOCK    (1U << 31)
#define SR_ERRORS  0x000020FBU /* and EOP: cleared by writing ones */
#define SR_FAULTS  0x000020FAU
#define SR_BSY     (1U << 16)
#define ECCR_ECCD  (1U << 31) /* two bits are wrong; cleared by writing a one */
#define OPTR_SWAP  (1U << 20)
#define OPTR_DBANK (1U << 22)
#define OPTR_TZEN  (1U << 31)

#define ICACHE_EN    (1U << 0)
#define ICACHE_BUSYF (1U << 0)

#define FLASH_START    0x08000000U
#define FLASH_BYTES    0x00080000U
#define PAGE_BYTES     2048U
#define PAGES_PER_BANK 128U

static volatile bool is_reading;
static volatile bool is_torn;

bool spela_flash_on_nmi(void) {
    if (!is_reading || (FLASH_ECCR & ECCR_ECCD) == 0U) {
        return false;
    }
    FLASH_ECCR |= ECCR_ECCD;
    is_torn = true;
    return true;
}

static bool is_as_shipped(void) {
    return (FLASH_OPTR & (OPTR_DBANK | OPTR_SWAP | OPTR_TZEN)) == OPTR_DBANK;
}

static void wait(void) {
    while ((FLASH_NSSR & SR_BSY) != 0U) {
        /* Some 25 ms for a page. */
    }
}

/** Makes flash ready to be changed; returns what `end` is to be given. */
static uint32_t begin(void) {
    const uint32_t cache = ICACHE_CR & ICACHE_EN;
    wait();
    /* The cache does not see what is changed; it forgets all when it is switched off. */
    ICACHE_CR &= ~ICACHE_EN;
    while ((ICACHE_SR & ICACHE_BUSYF) != 0U) {
        /* It is invalidated. */
    }
    if ((FLASH_NSCR & CR_LOCK) != 0U) {
        FLASH_NSKEYR = KEY_1;
        FLASH_NSKEYR = KEY_2;
    }
    FLASH_NSSR = SR_ERRORS;
    return cache;
}

/** Ends what `begin` began; returns whether it went well. */
static bool end(uint32_t cache) {
    wait();
    const bool is_well = (FLASH_NSSR & SR_FAULTS) == 0U;
    FLASH_NSCR = CR_LOCK;
    ICACHE_CR |= cache;
    return is_well;
}

static bool erase_page(uint32_t page) {
    const uint32_t cache = begin();
    const uint32_t bank = page >= PAGES_PER_BANK ? CR_BKER : 0U;
    FLASH_NSCR = CR_PER | bank | ((page % PAGES_PER_BANK) << CR_PNB);
    FLASH_NSCR |= CR_STRT;
    return end(cache);
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    const uint32_t start = address - FLASH_START;
    if (start % PAGE_BYTES != 0U || bytes % PAGE_BYTES != 0U || start >= FLASH_BYTES ||
        bytes > FLASH_BYTES - start || !is_as_shipped()) {
        return false; /* other pages would be erased than are asked for */
    }
    for (uint32_t done = 0U; done < bytes; done += PAGE_BYTES) {
        if (!erase_page((start + done) / PAGE_BYTES)) {
            return false;
        }
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    if (store->unit_bytes != 8U || !is_as_shipped()) {
        return false;
    }
    volatile uint32_t *const words = (volatile uint32_t *)(uintptr_t)address;
    const uint32_t cache = begin();
    FLASH_NSCR = CR_PG;
    words[0] = data[0]; /* kept until the second is there */
    words[1] = data[1];
    return end(cache);
}

bool spela_flash_read(const spela_store_t *store, uint32_t address, uint32_t *data,
                      uint32_t bytes) {
    (void)store;
    const volatile uint32_t *const words = (const volatile uint32_t *)(uintptr_t)address;
    is_torn = false;
    is_reading = true;
    for (uint32_t i = 0U; i < bytes / 4U; i++) {
        data[i] = words[i];
    }
    /* The NMI of the last read is taken before the barriers end. */
    __asm__ volatile("dsb\n isb" ::: "memory");
    is_reading = false;
    return !is_torn;
}
