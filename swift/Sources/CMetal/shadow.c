// Races on threadgroup memory: who wrote and who read each word last, and since which barriers.
//
// Two accesses conflict when different threads make them, one writes, and no barrier that both threads
// passed lies between. Words that are used by parts are tracked by byte until the next barrier.
#ifdef __linux__
#include <sys/mman.h>

#include "dispatch.h"

enum { READ, WRITE, ATOMIC };

static uint32_t thread_of(mtl_mark mark) { return mark >> 1 & 0x3ff; }
static bool same_epoch(mtl_mark a, mtl_mark b) { return (a ^ b) >> 32 == 0; }
static bool same_thread(mtl_mark a, mtl_mark b) { return ((a ^ b) >> 1 & 0x3ff) == 0; }
static bool same_simdgroup(mtl_mark a, mtl_mark b) { return ((a ^ b) >> 6 & 0x1f) == 0; }

static bool conflict(mtl_mark before, mtl_mark now) {
  if (!same_epoch(before, now) || same_thread(before, now)) return false;
  return !same_simdgroup(before, now) || ((before ^ now) >> 12 & 0xfffff) == 0;
}

_Noreturn __attribute__((noinline)) static void report(mtl_worker *worker, const mtl_range *range, uint64_t offset,
                                                       uint32_t kind, mtl_mark before, bool wrote) {
  static const char *const verbs[] = {"reads", "writes", "atomically changes"};
  char self[96], other[96], place[256];
  uint64_t room;
  mtl_thread_text(worker, worker->current, self);
  mtl_thread_text(worker, thread_of(before), other);
  mtl_place_text(worker, range, (int64_t)offset, place, &room);
  mtl_fail(worker, "a race on threadgroup memory: %s %s %s, which %s %s, with no barrier between them", self, verbs[kind],
           place, other, before & 1 ? "atomically changed" : wrote ? "wrote" : "read");
}

__attribute__((always_inline)) static inline void touch(mtl_worker *worker, const mtl_range *range, mtl_cell *cell,
                                                        uint64_t offset, uint32_t kind, mtl_mark mark) {
  if (kind == READ) {
    mtl_mark last = cell->readers[0];
    if (last == mark) return;
    if (conflict(cell->writer, mark)) report(worker, range, offset, kind, cell->writer, true);
    cell->readers[0] = mark;
    if (!same_epoch(last, mark) || same_thread(last, mark)) return;
    mtl_mark other = cell->readers[1];
    bool keep = same_simdgroup(last, mark) && same_epoch(other, mark) && !same_simdgroup(other, mark);
    if (!keep) cell->readers[1] = last;
    return;
  }
  bool atomics = kind == ATOMIC && cell->writer & 1;
  if (!atomics && conflict(cell->writer, mark)) report(worker, range, offset, kind, cell->writer, true);
  for (int i = 0; i < 2; i++) {
    if (conflict(cell->readers[i], mark)) report(worker, range, offset, kind, cell->readers[i], false);
  }
  cell->writer = mark;
}

// A word by its bytes.
__attribute__((noinline)) static void touch_parts(mtl_worker *worker, const mtl_range *range, uint64_t at, uint64_t end,
                                                  uint32_t kind, mtl_mark mark) {
  const mtl_shadow *shadow = &worker->shadow;
  mtl_cell *word = &shadow->words[at / 4];
  if (word->split != worker->epoch) {
    word->split = worker->epoch;
    for (int i = 0; i < 4; i++) shadow->parts[at / 4 * 4 + i] = *word;
  }
  for (; at < end; at++) touch(worker, range, &shadow->parts[at], at - range->shadow, kind, mark);
}

__attribute__((noinline)) static void touch_all(mtl_worker *worker, const mtl_range *range, uint64_t at, uint64_t end,
                                                uint32_t kind, mtl_mark mark) {
  while (at < end) {
    uint64_t next = (at / 4 + 1) * 4;
    if (next > end) next = end;
    mtl_cell *word = &worker->shadow.words[at / 4];
    if (next - at == 4 && word->split != worker->epoch) {
      touch(worker, range, word, at - range->shadow, kind, mark);
    } else {
      touch_parts(worker, range, at, next, kind, mark);
    }
    at = next;
  }
}

void mtl_shadow_access(mtl_worker *worker, const mtl_range *range, uint64_t offset, uint32_t bytes, uint32_t kind) {
  mtl_mark mark = worker->mark | (kind == ATOMIC);
  uint64_t at = range->shadow + offset;
  mtl_cell *word = &worker->shadow.words[at / 4];
  if (bytes == 4 && at % 4 == 0 && word->split != worker->epoch) {
    touch(worker, range, word, offset, kind, mark);
  } else {
    touch_all(worker, range, at, at + bytes, kind, mark);
  }
}

bool mtl_shadow_reserve(mtl_worker *worker, uint32_t bytes) {
  mtl_shadow *shadow = &worker->shadow;
  // Epochs start again before they are used up.
  if (shadow->bytes >= bytes && worker->epoch < 0xf0000000u) return true;
  uint32_t covered = (bytes + 4096) / 4096 * 4096;
  uint64_t room = (uint64_t)covered / 4 * 5 * sizeof(mtl_cell);
  void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  if (shadow->words) munmap(shadow->words, shadow->room);
  *shadow = (mtl_shadow){.room = room, .bytes = covered, .words = memory, .parts = (mtl_cell *)memory + covered / 4};
  if (worker->epoch >= 0xf0000000u) worker->epoch = 0;
  return true;
}
#endif
