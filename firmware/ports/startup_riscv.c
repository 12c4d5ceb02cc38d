/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of a RISC-V core in machine mode: stack, memory, and what happens on a trap. */
#include "port.h"
#include "sections.h"

int main(void);
void port_start(void);
void port_trap(void);
void port_trapped(uint32_t mcause, uint32_t mtval, uint32_t mstatus, uint32_t pc, uint32_t ra,
                  uint32_t sp);

/*
 * Where the firmware begins. The stack lies at the bottom of RAM; where there is other memory below
 * it, an overflow would overwrite that. So the page below the stack is locked by physical memory
 * protection (entry 1, from the address of entry 0). A core without it traps on the way, and goes
 * on at 1.
 *
 * A trap comes to port_trap, whose report has the 448 bytes of stack kept for it, and needs less;
 * if they are used up, it starts from the top again. A trap in that report goes nowhere.
 */
__asm__(".pushsection .init, \"ax\", @progbits\n"
        ".balign 4\n"
        ".option push\n"
        ".option arch, +zicsr\n"
        ".option norelax\n"
        ".option norvc\n" /* so that every instruction is aligned to a word, as mtvec needs it */
        ".global _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "  la   t0, port_stack_top\n"
        "  mv   sp, t0\n"
        "  la   t0, 1f\n"
        "  csrw mtvec, t0\n"
        "  la   t0, port_stack_bottom\n"
        "  srli t0, t0, 2\n"
        "  csrw pmpaddr1, t0\n"
        "  addi t0, t0, -1024\n"
        "  csrw pmpaddr0, t0\n"
        "  li   t0, 0x8800\n" /* locked, up to the address, no access */
        "  csrw pmpcfg0, t0\n"
        "1:\n"
        "  la   t0, port_trap\n"
        "  csrw mtvec, t0\n"
        "  tail port_start\n"
        ".size _start, . - _start\n"

        ".global port_trap\n"
        ".type port_trap, @function\n"
        "port_trap:\n"
        "  la   a0, 2f\n"
        "  csrw mtvec, a0\n"
        "  mv   a4, ra\n"
        "  mv   a5, sp\n"
        "  la   a0, port_stack_bottom + 448\n"
        "  bgeu sp, a0, 1f\n"
        "  la   a0, port_stack_top\n"
        "  mv   sp, a0\n"
        "1:\n"
        "  csrr a0, mcause\n"
        "  csrr a1, mtval\n"
        "  csrr a2, mstatus\n"
        "  csrr a3, mepc\n"
        "  tail port_trapped\n"
        "2:\n"
        "  j    2b\n"
        ".size port_trap, . - port_trap\n"
        ".option pop\n"
        ".popsection\n");

__attribute__((used)) void port_start(void) {
    port_set_up_memory();
    (void)main();
    for (;;) {
        /* The application does not return. */
    }
}

__attribute__((used)) void port_trapped(uint32_t mcause, uint32_t mtval, uint32_t mstatus,
                                        uint32_t pc, uint32_t ra, uint32_t sp) {
    const uint32_t report[6] = {mcause, mtval, mstatus, pc, ra, sp};
    port_on_fault(report, 6U);
    for (;;) {
        /* For the debugger. */
    }
}
