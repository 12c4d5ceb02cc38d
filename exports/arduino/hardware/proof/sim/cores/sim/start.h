/* SPDX-License-Identifier: Apache-2.0 */
#ifndef START_H
#define START_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void say(char c);
uint32_t hundredths(void); /**< of a second since the start */

#ifdef __cplusplus
}
#endif
#endif
