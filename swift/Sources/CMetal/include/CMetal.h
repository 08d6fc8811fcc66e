// The C half of the emulator: compiled kernels, and threadgroups whose threads are fibers.
#ifndef CMETAL_H
#define CMETAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- texts that kernels are compiled with, whole
const char *mtl_prelude_emulator(void);
const char *mtl_prelude_cuda(void);
const char *mtl_prelude_lint(void);

// ---- memory
// Zeroed, with address space reserved around it, so that a stray address tells what it strayed from.
// NULL when there is none.
void *mtl_memory_allocate(uint64_t bytes);
void mtl_memory_free(void *memory, uint64_t bytes);
// Bytes that this process may use: of the machine, or of its control group.
uint64_t mtl_memory_limit(void);

// ---- compiled kernels
typedef struct mtl_module mtl_module;
// NULL on failure, which is written to error.
mtl_module *mtl_module_open(const char *path, char *error, size_t room);
void mtl_module_close(mtl_module *module);
uint64_t mtl_module_threadgroup_bytes(const mtl_module *module);
// One number a parameter: the bytes that a reference needs behind it, and log2 of the alignment in the top four bits.
const uint32_t *mtl_module_argument_bytes(const mtl_module *module);

// ---- dispatches
#define MTL_MOST_PARAMETERS 96

typedef struct mtl_argument {
  const char *label;  // for messages: argument "a" [[buffer(0)]]
  void *memory;       // NULL for threadgroup and built-in parameters
  uint64_t bytes;
  uint32_t threadgroup_bytes;
  bool writable;
} mtl_argument;

typedef struct mtl_dispatch mtl_dispatch;
// Labels and the kernel's name, as messages have it, are not copied. NULL when there is no memory.
mtl_dispatch *mtl_dispatch_make(const mtl_module *module, const char *kernel, bool checks, const uint32_t threads[3],
                                const uint32_t threadgroup[3], const mtl_argument *arguments, uint32_t parameters);
uint64_t mtl_dispatch_threadgroups(const mtl_dispatch *dispatch);
// Takes part in a dispatch until no threadgroup is left: called by every thread that is to help.
void mtl_dispatch_run(mtl_dispatch *dispatch);
// What went wrong, or NULL. "@{7:3}" in it is line 7, column 3 (0: unknown) of the emitted text.
const char *mtl_dispatch_error(const mtl_dispatch *dispatch);
void mtl_dispatch_free(mtl_dispatch *dispatch);

// ---- results of products
// halves[i] = sums[i] + beta * halves[i], rounded to the nearest; with beta 0, what was there does not count.
void mtl_store_halves(const float *sums, uint16_t *halves, uint64_t count, float beta);

#endif
