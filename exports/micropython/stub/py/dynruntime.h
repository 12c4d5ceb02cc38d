/* SPDX-License-Identifier: Apache-2.0 */
/** What the module uses of MicroPython's interface for native modules, declared and no more. */
#ifndef DYNRUNTIME_H
#define DYNRUNTIME_H

#include <stddef.h>
#include <stdint.h>

typedef void *mp_obj_t;
typedef intptr_t mp_int_t;
typedef uintptr_t mp_uint_t;

typedef struct {
    void *buf;
    size_t len;
    int typecode;
} mp_buffer_info_t;

typedef struct {
    const void *function;
} mp_obj_fun_t;

typedef struct {
    const void *context;
} mp_obj_fun_bc_t;

enum {
    MP_BUFFER_READ = 1,
    MP_BUFFER_WRITE = 2,
    MP_BUFFER_RW = 3
};

#define MP_DEFINE_CONST_FUN_OBJ_1(name, f) const mp_obj_fun_t name = {(const void *)(uintptr_t)(f)}
#define MP_DEFINE_CONST_FUN_OBJ_2(name, f) MP_DEFINE_CONST_FUN_OBJ_1(name, f)
#define MP_DEFINE_CONST_FUN_OBJ_3(name, f) MP_DEFINE_CONST_FUN_OBJ_1(name, f)
#define MP_OBJ_FROM_PTR(pointer)           ((mp_obj_t)(uintptr_t)(pointer))
#define MP_DYNRUNTIME_INIT_ENTRY           (void)self, (void)n_args, (void)n_kw, (void)args;
#define MP_DYNRUNTIME_INIT_EXIT            return mp_const_none;
#define mp_const_none                      ((mp_obj_t)0)
#define mp_store_global(name, object)      store_global(#name, object)

void mp_get_buffer_raise(mp_obj_t object, mp_buffer_info_t *info, mp_uint_t use);
__attribute__((noreturn)) void mp_raise_ValueError(const char *text);
mp_int_t mp_obj_get_int(mp_obj_t object);
mp_obj_t mp_obj_new_bool(int value);
mp_obj_t mp_obj_new_int(mp_int_t value);
mp_obj_t mp_obj_new_int_from_uint(mp_uint_t value);
mp_obj_t mp_obj_new_str(const char *text, size_t length);
mp_obj_t mp_obj_new_tuple(size_t count, const mp_obj_t *items);
void store_global(const char *name, mp_obj_t object);
mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args);

#endif
