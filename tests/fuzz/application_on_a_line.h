/* SPDX-License-Identifier: Apache-2.0 */
/** The whole application within a program that has its line: port_init, port_read, port_write. */
#ifndef APPLICATION_ON_A_LINE_H
#define APPLICATION_ON_A_LINE_H

#define main application_main
#include "main.c"
#undef main

/* Its flash; the line is ours. */
#define port_init  host_init
#define port_read  host_read
#define port_write host_write
#include "port_host.c"
#undef port_init
#undef port_read
#undef port_write

#endif
