/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCG plugin of QEMU: counts how often each instruction of the firmware is executed.
 *
 * Its counts lie in a file that the host has mapped too, and reads while the core stands still.
 * They are kept by instruction, not by translated block: an access to a device's register or a
 * breakpoint may cut a block short, which is then translated and begun once more.
 *
 * Distributions ship no qemu-plugin.h. What is used of it is declared here, from QEMU's "TCG
 * Plugins" manual: it is the same in QEMU 7 to 10, versions 1 to 5 of the interface.
 */
#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t; /* opaque */
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum qemu_plugin_cb_flags {
    QEMU_PLUGIN_CB_NO_REGS
};

typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu_index, void *userdata);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                                  qemu_plugin_vcpu_tb_trans_cb_t cb);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                                   qemu_plugin_vcpu_udata_cb_t cb,
                                                   enum qemu_plugin_cb_flags flags, void *userdata);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
                                                        size_t idx);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

/* QEMU 9 refuses plugins of version 1, and QEMU 8 those of version 2. */
int qemu_plugin_version = 2;

/* What host and plugin share; the host's side is spela_mcu/simulators/qemu_plugin.py. */
typedef struct {
    uint64_t enabled;    /* whether code that is translated from now on is counted */
    uint64_t executed[]; /* for each halfword of the code: how often an instruction began there */
} shared_t;

static shared_t *shared;
static uint64_t code_address;
static uint64_t code_bytes;

/* Runs before QEMU looks at the version. Version 2 removed qemu_plugin_n_vcpus. */
__attribute__((constructor)) static void choose_version(void) {
    if (dlsym(dlopen(NULL, RTLD_LAZY), "qemu_plugin_n_vcpus") != NULL) {
        qemu_plugin_version = 1;
    }
}

static void on_instruction(unsigned int vcpu_index, void *executed) {
    (void)vcpu_index;
    (*(uint64_t *)executed)++; /* the boards have one core */
}

/* cppcheck-suppress constParameterCallback ; its type is QEMU's */
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    if (shared->enabled == 0U) {
        return;
    }
    const size_t instructions = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < instructions; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t offset = qemu_plugin_insn_vaddr(instruction) - code_address;
        if (offset < code_bytes) {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_instruction,
                                                   QEMU_PLUGIN_CB_NO_REGS,
                                                   &shared->executed[offset / 2U]);
        }
    }
}

/*
 * Standard input is a pipe without data: it closes when the program that started QEMU has ended,
 * perhaps without a chance to end QEMU first.
 */
static void *wait_for_end(void *unused) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
        /* Nobody writes. */
    }
    _exit(0);
    return unused;
}

static uint64_t argument(const char *name, int argc, char **argv) {
    const size_t length = strlen(name);
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            return strtoull(argv[i] + length + 1U, NULL, 0);
        }
    }
    return 0U;
}

/* Without arguments it only shows that it can be loaded. */
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    if (argc == 0) {
        return 0;
    }
    code_address = argument("address", argc, argv);
    code_bytes = argument("bytes", argc, argv);
    const size_t size = sizeof(shared_t) + (size_t)(code_bytes / 2U) * sizeof(uint64_t);
    const int counts = (int)argument("counts", argc, argv);
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, counts, 0);
    pthread_t thread;
    if (mapped == MAP_FAILED || pthread_create(&thread, NULL, wait_for_end, NULL) != 0) {
        return 1;
    }
    shared = mapped;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
