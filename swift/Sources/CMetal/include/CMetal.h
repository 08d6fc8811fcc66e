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
// One number a parameter: the bytes that a reference needs behind it.
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

// ---- C = alpha · op(A) op(B) + beta · C, in rows
typedef struct mtl_matrix {
  void *rows;
  uint64_t row_bytes;
  bool half, transposed;
} mtl_matrix;

typedef struct mtl_multiply {
  mtl_matrix left, right, result;
  uint64_t rows, columns, interior;
  float alpha, beta;
} mtl_multiply;

#define MTL_MULTIPLY_ROWS 64
// One block of MTL_MULTIPLY_ROWS rows of the result. False when there is no memory.
bool mtl_multiply_rows(const mtl_multiply *multiply, uint64_t block);

#endif
