// Checks of every access that a kernel makes, before it is made.
#ifdef __linux__
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dispatch.h"

// Accesses further than this from every argument belong to none.
#define MTL_FAR ((uintptr_t)8 << 30)

// DIVIDE is no access: an integer is about to be divided by zero.
enum { READ, WRITE, ATOMIC, DIVIDE };

_Noreturn void mtl_fail(mtl_worker *worker, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(worker->message, sizeof worker->message, format, list);
  va_end(list);
  worker->failed = true;
  mtl_switch(&worker->abandoned, worker->host);
  __builtin_unreachable();
}

const char *mtl_thread_text(const mtl_worker *worker, uint32_t thread, char text[96]) {
  uint32_t grid[3], group[3];
  mtl_thread_position(worker, thread, grid, group);
  snprintf(text, 96, "thread (%u, %u, %u)", grid[0], grid[1], grid[2]);
  return text;
}

const char *mtl_place_text(const mtl_worker *worker, const mtl_range *range, int64_t offset, char text[256], uint64_t *bytes) {
  const mtl_variable *variable = range->variables ? mtl_module_variable(worker->dispatch->module, offset) : NULL;
  *bytes = variable ? variable->bytes : range->bytes;
  if (variable) {
    snprintf(text, 256, "offset %lld of threadgroup variable \"%s\"", (long long)(offset - (int64_t)variable->offset), variable->name);
  } else {
    snprintf(text, 256, "offset %lld of %s", (long long)offset, range->label);
  }
  return text;
}

static const char *thread_place_text(const mtl_worker *worker, char text[160]) {
  uint32_t grid[3], group[3];
  mtl_thread_position(worker, worker->current, grid, group);
  snprintf(text, 160, "thread (%u, %u, %u), which is (%u, %u, %u) of threadgroup (%u, %u, %u)", grid[0], grid[1], grid[2],
           group[0], group[1], group[2], worker->group[0], worker->group[1], worker->group[2]);
  return text;
}

static bool holds(const mtl_range *range, uintptr_t at, uint32_t bytes) {
  return bytes <= range->bytes && at - range->low <= range->bytes - bytes;
}

// Bytes between an address and a range, both ways.
static uintptr_t distance(const mtl_range *range, uintptr_t at) {
  if (at < range->low) return range->low - at;
  uintptr_t end = range->low + range->bytes;
  return at < end ? 0 : at - end;
}

_Noreturn static void refuse(mtl_worker *worker, uintptr_t at, uint32_t bytes, uint32_t kind) {
  static const char *const verbs[] = {"reads", "writes", "atomically changes"};
  char place[160], target[256];
  thread_place_text(worker, place);
  if (kind == DIVIDE) mtl_fail(worker, "it divides an integer by zero in %s", place);
  const mtl_range *nearest = NULL;
  for (uint32_t i = 0; i < worker->range_count; i++) {
    const mtl_range *range = &worker->ranges[i];
    if (range->image && distance(range, at)) continue;
    if (!nearest || distance(range, at) < distance(nearest, at)) nearest = range;
  }
  if (!nearest || distance(nearest, at) > MTL_FAR) {
    mtl_fail(worker, "it %s %u bytes at address 0x%llx, which no argument is near, in %s", verbs[kind], bytes,
             (unsigned long long)at, place);
  }
  uint64_t room;
  mtl_place_text(worker, nearest, (int64_t)(at - nearest->low), target, &room);
  if (!holds(nearest, at, bytes)) {
    mtl_fail(worker, "it %s %u bytes at %s, which has %llu bytes, in %s", verbs[kind], bytes, target, (unsigned long long)room, place);
  }
  mtl_fail(worker, "it %s %u bytes at %s, which is constant, in %s", verbs[kind], bytes, target, place);
}

__attribute__((noinline)) static void search(mtl_worker *worker, uintptr_t at, uint32_t bytes, uint32_t kind) {
  if (kind < DIVIDE) {
    for (uint32_t i = 0; i < worker->range_count; i++) {
      mtl_range *range = &worker->ranges[i];
      if (!holds(range, at, bytes) || (kind != READ && !range->writable)) continue;
      if (range->threadgroup) {
        worker->shared = range;
        mtl_shadow_access(worker, range, at - range->low, bytes, kind);
      } else {
        worker->recent[kind != READ] = range;
      }
      return;
    }
    // What the prelude reads: what an exchange hands out, and where the executor is.
    if (kind == READ && at - (uintptr_t)worker < sizeof *worker) return;
    if (kind == READ && at - (uintptr_t)&mtl_executor_hooks < sizeof mtl_executor_hooks) return;
  }
  refuse(worker, at, bytes, kind);
}

void mtl_access(const void *address, uint32_t bytes, uint32_t kind) {
  uintptr_t at = (uintptr_t)address, here = (uintptr_t)__builtin_frame_address(0);
  if ((at ^ here) < MTL_STACK) return;  // its own variables
  mtl_worker *worker = mtl_self();
  if (bytes == 0 && kind != DIVIDE) return;
  const mtl_range *recent = worker->recent[kind != READ];
  if (recent && holds(recent, at, bytes)) return;
  const mtl_range *shared = worker->shared;
  if (shared && holds(shared, at, bytes) && kind < DIVIDE) {
    mtl_shadow_access(worker, shared, at - shared->low, bytes, kind);
    return;
  }
  search(worker, at, bytes, kind);
}
#endif
