/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on STM32L4 with pages of 2 KB (RM0351, RM0394, 3): the parts with one bank, and
 * those with two banks and 1 MB, which are not swapped. Not STM32L4+, and not smaller parts that
 * are divided into two banks.
 *
 * A unit is a double word with its own ECC: unit_bytes is 8. A slot is whole pages. A double word
 * that a power cut tore raises the NMI when it is read: the firmware's NMI_Handler has to call
 * spela_flash_on_nmi. A core that runs from the same bank is stalled while flash is busy, so that
 * nothing of this need run from RAM.
 */
#include "flash_nmi.h"

#include "spela_store.h"

#define FLASH_ACR  (*(volatile uint32_t *)0x40022000U)
#define FLASH_KEYR (*(volatile uint32_t *)0x40022008U)
#define FLASH_SR   (*(volatile uint32_t *)0x40022010U)
#define FLASH_CR   (*(volatile uint32_t *)0x40022014U)
#define FLASH_ECCR (*(volatile uint32_t *)0x40022018U)
#define FLASH_SIZE (*(volatile uint16_t *)0x1FFF75E0U) /* in KB */

#define KEY_1 0x45670123U
#define KEY_2 0xCDEF89ABU

#define ACR_DCEN  (1U << 10) /* data cache, on after reset */
#define ACR_DCRST (1U << 12)
#define CR_PG     (1U << 0)
#define CR_PER    (1U << 1)
#define CR_PNB    3U /* position of the page's number within its bank */
#define CR_BKER   (1U << 11)
#define CR_STRT   (1U << 16)
#define CR_LOCK   (1U << 31)
#define ECCR_ECCD (1U << 31)  /* two bits are wrong; cleared by writing a one */
#define SR_ERRORS 0x0000C3FBU /* and EOP: cleared by writing ones */
#define SR_FAULTS 0x0000C3FAU
#define SR_BSY    (1U << 16)

#define FLASH_START    0x08000000U
#define PAGE_BYTES     2048U
#define PAGES_PER_BANK 256U

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

static void wait(void) {
    while ((FLASH_SR & SR_BSY) != 0U) {
        /* Up to 25 ms for a page. */
    }
}

/** Makes flash ready to be changed; returns what `end` is to be given. */
static uint32_t begin(void) {
    const uint32_t cache = FLASH_ACR & ACR_DCEN;
    wait();
    /* The data cache does not see what is erased, and some revisions spoil it by programming
     * (errata sheet ES0250). */
    FLASH_ACR &= ~ACR_DCEN;
    if ((FLASH_CR & CR_LOCK) != 0U) {
        FLASH_KEYR = KEY_1;
        FLASH_KEYR = KEY_2;
    }
    FLASH_SR = SR_ERRORS;
    return cache;
}

/** Ends what `begin` began; returns whether it went well. */
static bool end(uint32_t cache) {
    wait();
    const bool is_well = (FLASH_SR & SR_FAULTS) == 0U;
    FLASH_CR = CR_LOCK;
    FLASH_ACR |= ACR_DCRST; /* while it is off */
    FLASH_ACR &= ~ACR_DCRST;
    FLASH_ACR |= cache;
    return is_well;
}

static bool erase_page(uint32_t page) {
    const uint32_t cache = begin();
    const uint32_t bank = page >= PAGES_PER_BANK ? CR_BKER : 0U;
    FLASH_CR = CR_PER | bank | ((page % PAGES_PER_BANK) << CR_PNB);
    FLASH_CR |= CR_STRT;
    return end(cache);
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    const uint32_t flash_bytes = (uint32_t)FLASH_SIZE * 1024U;
    const uint32_t start = address - FLASH_START;
    if (start % PAGE_BYTES != 0U || bytes % PAGE_BYTES != 0U || start >= flash_bytes ||
        bytes > flash_bytes - start) {
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
    if (store->unit_bytes != 8U) {
        return false;
    }
    volatile uint32_t *const words = (volatile uint32_t *)(uintptr_t)address;
    const uint32_t cache = begin();
    FLASH_CR = CR_PG;
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
