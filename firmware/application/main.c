/* SPDX-License-Identifier: Apache-2.0 */
/* Serves one network to a host on the serial line. */
#include "application.h"
#include "port.h"

application_t application;

SPELA_STATIC_ASSERT(sizeof(void *) != 4U || sizeof(application_t) == APPLICATION_BYTES,
                    "the generator plans memory with this size (of a 32-bit core)");

int main(void);

int main(void) {
    port_init();
    application_start(&application);
    frame_read_start(&application.reader, application.frame, sizeof application.frame);
    for (;;) {
        uint32_t payload_bytes = 0U;
        const frame_event_t event = frame_read(&application.reader, port_read(), &payload_bytes);
        if (event == FRAME_READY) {
            protocol_answer(&application, payload_bytes);
        } else if (event != FRAME_PENDING) {
            protocol_refuse(&application, event);
        }
    }
}
