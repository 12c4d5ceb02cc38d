/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A boot ROM for simulated RP2040s: the table of functions and those that change flash, found as
 * the chip's own are (RP2040 Datasheet, 2.8.3). The code is spela-mcu's: instead of driving a flash
 * chip, it tells a controller that no chip has (spela_mcu/simulators/rom.py) what to do. None of it
 * uses the stack.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ CONTROLLER, 0x1F000000
    .equ STEP, 0x00
    .equ OFFSET, 0x04
    .equ ERASE, 0x08        /* bytes; erases them */
    .equ DATA, 0x0C
    .equ PROGRAM, 0x10      /* bytes; programs them */

    .section .text
    .space 0x14
    .hword functions
    .hword 0
    .hword lookup + 1
    .hword 0

/* r0: a table, r1: two characters; returns the address, or 0. */
lookup:
    ldrh r2, [r0]
    cmp r2, #0
    beq 2f
    cmp r2, r1
    beq 1f
    adds r0, #4
    b lookup
1:  ldrh r2, [r0, #2]
2:  movs r0, r2
    bx lr

connect_internal_flash:
    movs r0, #1
    b step
flash_exit_xip:
    movs r0, #2
    b step
flash_flush_cache:
    movs r0, #3
    b step
flash_enter_cmd_xip:
    movs r0, #4
step:
    ldr r3, controller
    str r0, [r3, #STEP]
    bx lr

/* r0: offset in flash, r1: bytes. */
flash_range_erase:
    ldr r3, controller
    str r0, [r3, #OFFSET]
    str r1, [r3, #ERASE]
    bx lr

/* r0: offset in flash, r1: data, r2: bytes. */
flash_range_program:
    ldr r3, controller
    str r0, [r3, #OFFSET]
    str r1, [r3, #DATA]
    str r2, [r3, #PROGRAM]
    bx lr

    .balign 4
controller:
    .word CONTROLLER
functions:
    .ascii "IF"
    .hword connect_internal_flash + 1
    .ascii "EX"
    .hword flash_exit_xip + 1
    .ascii "RE"
    .hword flash_range_erase + 1
    .ascii "RP"
    .hword flash_range_program + 1
    .ascii "FC"
    .hword flash_flush_cache + 1
    .ascii "CX"
    .hword flash_enter_cmd_xip + 1
    .hword 0
    .hword 0
