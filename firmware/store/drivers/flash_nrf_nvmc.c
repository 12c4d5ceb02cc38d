/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store's flash on nRF51 and nRF52, without a SoftDevice: the non-volatile memory controller
 * (nRF51 Series Reference Manual 3.0, 6; nRF52840 Product Specification, NVMC).
 *
 * A unit is a word: unit_bytes is 4. A slot is whole pages, of 1 KB on nRF51 and 4 KB on nRF52. The
 * controller halts a core that runs from flash, so that nothing of this need run from RAM. Every
 * word is written once after an erase; the parts allow two.
 */
#include "spela_store.h"

#define NVMC_READY      (*(volatile uint32_t *)0x4001E400U)
#define NVMC_CONFIG     (*(volatile uint32_t *)0x4001E504U)
#define NVMC_ERASE_PAGE (*(volatile uint32_t *)0x4001E508U)
#define FICR_PAGE_BYTES (*(volatile uint32_t *)0x10000010U)

#define CONFIG_READ  0U
#define CONFIG_WRITE 1U
#define CONFIG_ERASE 2U

static void wait(void) {
    while (NVMC_READY == 0U) {
        /* Up to 90 ms for a page. */
    }
}

bool spela_flash_erase(const spela_store_t *store, uint32_t address, uint32_t bytes) {
    (void)store;
    const uint32_t page_bytes = FICR_PAGE_BYTES;
    if (address % page_bytes != 0U || bytes % page_bytes != 0U) {
        return false; /* other pages would be erased than are asked for */
    }
    for (uint32_t done = 0U; done < bytes; done += page_bytes) {
        NVMC_CONFIG = CONFIG_ERASE;
        wait();
        NVMC_ERASE_PAGE = address + done;
        wait();
        NVMC_CONFIG = CONFIG_READ;
        wait();
    }
    return true;
}

bool spela_flash_program(const spela_store_t *store, uint32_t address, const uint32_t *data) {
    if (store->unit_bytes != 4U) {
        return false;
    }
    NVMC_CONFIG = CONFIG_WRITE;
    wait();
    *(volatile uint32_t *)(uintptr_t)address = *data;
    wait();
    NVMC_CONFIG = CONFIG_READ;
    wait();
    return true;
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
