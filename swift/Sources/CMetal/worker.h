// What one worker of the emulator keeps: its threads as fibers, and where they wait.
//
// Everything of a worker lies in one aligned region of address space, so that code on a fiber finds
// its worker by its stack pointer: slot 0 is the worker, the next 1,024 are stacks, threadgroup
// arguments follow far behind.
#ifndef MTL_WORKER_H
#define MTL_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/CMetal.h"
#include "prelude/hooks.h"

#define MTL_STACK ((uintptr_t)256 << 10)
#define MTL_REGION ((uintptr_t)512 << 20)
#define MTL_ARGUMENTS_AT ((uintptr_t)384 << 20)  // threadgroup arguments, MTL_ARGUMENT_GAP apart
#define MTL_ARGUMENT_GAP ((uintptr_t)1 << 20)
#define MTL_MOST_THREADS 1024
#define MTL_LANES 32
#define MTL_SLOT 64
#define MTL_DEPTH 8
#define MTL_MOST_RANGES (MTL_MOST_PARAMETERS + 16)

// One thread of the threadgroup.
typedef struct mtl_lane {
  void *stack_pointer;  // where it waits; NULL before it started
  uintptr_t path[MTL_DEPTH];  // of its exchange: the calls that led there, outermost first, and zeros
  uint32_t site;
  uint32_t phase;  // of its simdgroup when it published
} mtl_lane;

// Masks of lanes: those that can go on, and why the others cannot.
typedef struct mtl_simdgroup {
  uint32_t all, ready, exchanging, meeting, parked, ended;
  uint32_t taken;  // lanes of the exchange that completed last
  uint32_t phase;  // exchanges completed
  uint32_t epoch;  // simdgroup barriers passed
  // By parity of the phase: a lane may publish anew before the others have read.
  _Alignas(64) uint8_t slots[2][MTL_LANES][MTL_SLOT];
} mtl_simdgroup;

// Memory that a kernel may use.
typedef struct mtl_range {
  uintptr_t low;
  uint64_t bytes;
  const char *label;
  uint32_t shadow;  // of threadgroup memory: where its cells start
  bool writable, threadgroup, variables, image;
} mtl_range;

// An access to threadgroup memory: threadgroup epoch (32 bits), simdgroup epoch (20), thread (10), atomic (1).
// 0: none.
typedef uint64_t mtl_mark;

// Who used a word last. Of the readers: the last, and one of another simdgroup before it, or else of
// another thread.
typedef struct mtl_cell {
  mtl_mark writer, readers[2];
  uint64_t split;  // the epoch in which this word is tracked by byte
} mtl_cell;

typedef struct mtl_shadow {
  uint64_t room;   // bytes of address space
  uint32_t bytes;  // of threadgroup memory it covers
  mtl_cell *words, *parts;
} mtl_shadow;

typedef struct mtl_worker {
  struct mtl_worker *next;  // on the shelf
  void *host;               // where the pool's thread waits
  void *abandoned;
  const mtl_dispatch *dispatch;

  uint32_t group[3], size[3];  // the threadgroup: position, threads
  uint32_t current, simdgroup, simdgroups;
  uint32_t epoch;  // threadgroup barriers passed, never reset
  mtl_mark mark;   // of what the current thread does now
  uint16_t free_stacks[MTL_MOST_THREADS];
  uint32_t free_count, mapped;
  void *arguments[MTL_MOST_PARAMETERS];
  uint32_t argument_room[MTL_MOST_PARAMETERS];

  const mtl_range *recent[2];  // of arguments, by kind: a read, or a write
  const mtl_range *shared;     // of threadgroup memory
  mtl_range ranges[MTL_MOST_RANGES];
  uint32_t range_count;
  mtl_shadow shadow;

  bool failed;
  char message[1024];
  mtl_lane lanes[MTL_MOST_THREADS];
  mtl_simdgroup simd[MTL_MOST_THREADS / MTL_LANES];
} mtl_worker;

_Static_assert(sizeof(mtl_worker) <= MTL_STACK, "a worker fits its slot");

// The worker of the fiber that asks.
static inline mtl_worker *mtl_self(void) {
  return (mtl_worker *)((uintptr_t)__builtin_frame_address(0) & ~(MTL_REGION - 1));
}

// ---- fiber.c
// Saves where the caller is in *from, and goes on where `to` was saved.
void mtl_switch(void **from, void *to);
// A free stack, prepared to run `start`; NULL when there is no memory.
void *mtl_stack_take(mtl_worker *worker, void (*start)(void));
// Gives back the stack that the caller runs on: it must switch away before another is taken.
void mtl_stack_give(mtl_worker *worker);
mtl_worker *mtl_worker_take(void);
void mtl_worker_give(mtl_worker *worker);
// Memory for a threadgroup argument; NULL when there is none.
void *mtl_argument_memory(mtl_worker *worker, uint32_t parameter, uint32_t bytes);

// ---- executor.c
extern const mtl_hooks mtl_executor_hooks;
// Runs one threadgroup. False when the kernel broke a rule; the message says which.
bool mtl_run_threadgroup(mtl_worker *worker, uint64_t group);
void mtl_thread_position(const mtl_worker *worker, uint32_t thread, uint32_t grid[3], uint32_t group[3]);

// ---- checks.c
void mtl_access(const void *address, uint32_t bytes, uint32_t kind);
// Ends the threadgroup: leaves the fiber for good.
_Noreturn void mtl_fail(mtl_worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
// "thread (1, 0, 0)"
const char *mtl_thread_text(const mtl_worker *worker, uint32_t thread, char text[96]);
// "offset 4 of argument "x" [[buffer(0)]]"; room for the bytes that this has.
const char *mtl_place_text(const mtl_worker *worker, const mtl_range *range, int64_t offset, char text[256], uint64_t *bytes);

// ---- shadow.c
// Makes room for the cells of so many bytes of threadgroup memory.
bool mtl_shadow_reserve(mtl_worker *worker, uint32_t bytes);
void mtl_shadow_access(mtl_worker *worker, const mtl_range *range, uint64_t offset, uint32_t bytes, uint32_t kind);

#endif
