/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a core that took a fault: a frame that says where and why. */
#include "application.h"
#include "port.h"

/* System control block of ARMv7-M and ARMv8-M: configurable and hard fault status, addresses. */
#define SCB_CFSR  0xE000ED28U
#define SCB_HFSR  0xE000ED2CU
#define SCB_MMFAR 0xE000ED34U
#define SCB_BFAR  0xE000ED38U

static uint32_t register_at(uint32_t address) {
#if defined(__ARM_ARCH) && __ARM_ARCH >= 7
    return *(const volatile uint32_t *)(uintptr_t)address;
#else
    (void)address; /* ARMv6-M has none of them */
    return 0U;
#endif
}

void port_on_fault(const port_exception_t *exception) {
    frame_writer_t *writer = &application.writer;
    port_write(0U); /* ends a frame that was being sent; the host will find it malformed */
    frame_write_start(writer);
    frame_write_u8(writer, COMMAND_FAULT);
    frame_write_u8(writer, PROTOCOL_FAULT);
    frame_write_u16(writer, 0U); /* no request has asked for it */
    frame_write_u32(writer, register_at(SCB_CFSR));
    frame_write_u32(writer, register_at(SCB_HFSR));
    frame_write_u32(writer, register_at(SCB_MMFAR));
    frame_write_u32(writer, register_at(SCB_BFAR));
    if (exception != NULL) {
        frame_write_u32(writer, exception->pc);
        frame_write_u32(writer, exception->lr);
        frame_write_u32(writer, exception->xpsr);
    }
    frame_write_end(writer);
}
