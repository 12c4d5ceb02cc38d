/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a core that took a fault: a frame that says where and why. */
#include "application.h"
#include "port.h"

void port_on_fault(const uint32_t *report, uint32_t words) {
    frame_writer_t *writer = &application.writer;
    port_write(0U); /* ends a frame that was being sent; the host will find it malformed */
    frame_write_start(writer);
    frame_write_u8(writer, COMMAND_FAULT);
    frame_write_u8(writer, PROTOCOL_FAULT);
    frame_write_u16(writer, 0U); /* no request has asked for it */
    for (uint32_t i = 0U; i < words; i++) {
        frame_write_u32(writer, report[i]);
    }
    frame_write_end(writer);
}
