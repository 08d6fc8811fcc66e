// Runs one threadgroup: each thread is a fiber that runs until it waits or ends.
//
// Simdgroups run one after the other. When no lane of one can go on, an exchange completes with the
// lanes that came the same way: the earliest in the code, as a GPU lets lanes that branched meet again.
// Then simdgroup barriers, and when no simdgroup can go on, the threadgroup's.
#ifdef __linux__
#include <string.h>

#include "dispatch.h"

enum { SIMDGROUP, THREADGROUP };

// A site is a line of the emitted text, with the column above it.
static uint32_t line_of(uint32_t site) { return site & 0xfffff; }
static uint32_t column_of(uint32_t site) { return site >> 20; }

static uint32_t first_of(uint32_t mask) { return (uint32_t)__builtin_ctz(mask); }

// Which of two lanes waits earlier in the code. A function that is called from two places is two places, and
// code lies in the order of its text: kernels are compiled so.
static int compare(const mtl_lane *a, const mtl_lane *b) {
  for (int i = 0; i < MTL_DEPTH; i++) {
    if (a->path[i] != b->path[i]) return a->path[i] < b->path[i] ? -1 : 1;
  }
  return a->site == b->site ? 0 : line_of(a->site) < line_of(b->site) ? -1 : 1;
}

// The lanes of an exchange that can complete.
static uint32_t earliest(const mtl_worker *worker, const mtl_simdgroup *simd) {
  const mtl_lane *lanes = &worker->lanes[worker->simdgroup * MTL_LANES];
  const mtl_lane *best = &lanes[first_of(simd->exchanging)];
  uint32_t taken = 0;
  for (uint32_t left = simd->exchanging; left; left &= left - 1) {
    const mtl_lane *lane = &lanes[first_of(left)];
    int order = compare(lane, best);
    if (order < 0) {
      best = lane;
      taken = 0;
    }
    if (order <= 0) taken |= 1u << first_of(left);
  }
  return taken;
}

// Notes the calls that led from the kernel to the exchange. Kernels keep frame pointers for this.
__attribute__((noinline)) static void trace(const mtl_worker *worker, const uintptr_t *frame, mtl_lane *lane) {
  const mtl_module *module = worker->dispatch->module;
  uintptr_t found[32];
  int count = 0;
  while (count < 32 && frame[1] - module->code < module->code_bytes) {
    found[count++] = frame[1];
    const uintptr_t *caller = (const uintptr_t *)frame[0];
    if (caller <= frame || ((uintptr_t)caller ^ (uintptr_t)frame) >= MTL_STACK) break;
    frame = caller;
  }
  for (int i = 0; i < MTL_DEPTH; i++) lane->path[i] = i < count ? found[count - 1 - i] : 0;
}

static void complete_exchange(mtl_worker *worker, mtl_simdgroup *simd) {
  const mtl_lane *lanes = &worker->lanes[worker->simdgroup * MTL_LANES];
  uint32_t taken = earliest(worker, simd), parity = simd->phase & 1;
  for (uint32_t left = taken; left; left &= left - 1) {
    uint32_t lane = first_of(left);
    // It waited while others went on: bring what it published to where they look.
    if ((lanes[lane].phase & 1) != parity) memcpy(simd->slots[parity][lane], simd->slots[!parity][lane], MTL_SLOT);
  }
  simd->taken = taken;
  simd->phase++;
  simd->exchanging &= ~taken;
  simd->ready = taken;
}

static bool same_site(const mtl_worker *worker, uint32_t simdgroup, uint32_t mask, uint32_t site, uint32_t *other) {
  for (; mask; mask &= mask - 1) {
    *other = simdgroup * MTL_LANES + first_of(mask);
    if (worker->lanes[*other].site != site) return false;
  }
  return true;
}

static const char *scope_name(uint32_t scope) { return scope == SIMDGROUP ? "simdgroup_barrier" : "threadgroup_barrier"; }

_Noreturn static void divergent(mtl_worker *worker, uint32_t scope, uint32_t waiting, uint32_t missing) {
  char a[96], b[96];
  const mtl_lane *lane = &worker->lanes[missing];
  const mtl_simdgroup *simd = &worker->simd[missing / MTL_LANES];
  uint32_t bit = 1u << missing % MTL_LANES;
  mtl_thread_text(worker, waiting, a);
  mtl_thread_text(worker, missing, b);
  uint32_t site = worker->lanes[waiting].site;
  if (simd->ended & bit) {
    mtl_fail(worker, "%s at @{%u:%u} waits for all threads, as %s does, but %s has ended", scope_name(scope),
             line_of(site), column_of(site), a, b);
  }
  mtl_fail(worker, "%s at @{%u:%u} waits for all threads, as %s does, but %s waits at %s at @{%u:%u}", scope_name(scope),
           line_of(site), column_of(site), a, b, scope_name(simd->meeting & bit ? SIMDGROUP : THREADGROUP),
           line_of(lane->site), column_of(lane->site));
}

static void complete_meeting(mtl_worker *worker, mtl_simdgroup *simd) {
  if (worker->dispatch->checks) {
    uint32_t first = worker->simdgroup * MTL_LANES + first_of(simd->meeting), other;
    uint32_t missing = simd->all & ~simd->meeting;
    if (missing) divergent(worker, SIMDGROUP, first, worker->simdgroup * MTL_LANES + first_of(missing));
    if (!same_site(worker, worker->simdgroup, simd->meeting, worker->lanes[first].site, &other)) {
      divergent(worker, SIMDGROUP, first, other);
    }
  }
  simd->epoch++;
  simd->ready = simd->meeting;
  simd->meeting = 0;
}

// Lets the threads go on that wait at the threadgroup's barrier. False when all have ended.
static bool complete_barrier(mtl_worker *worker) {
  uint32_t waiting = UINT32_MAX, missing = UINT32_MAX;
  for (uint32_t i = 0; i < worker->simdgroups; i++) {
    const mtl_simdgroup *simd = &worker->simd[i];
    if (simd->parked && waiting == UINT32_MAX) waiting = i * MTL_LANES + first_of(simd->parked);
    if (simd->ended && missing == UINT32_MAX) missing = i * MTL_LANES + first_of(simd->ended);
  }
  if (waiting == UINT32_MAX) return false;
  if (worker->dispatch->checks) {
    if (missing != UINT32_MAX) divergent(worker, THREADGROUP, waiting, missing);
    for (uint32_t i = 0; i < worker->simdgroups; i++) {
      uint32_t other;
      if (!same_site(worker, i, worker->simd[i].parked, worker->lanes[waiting].site, &other)) {
        divergent(worker, THREADGROUP, waiting, other);
      }
    }
  }
  worker->epoch++;
  for (uint32_t i = 0; i < worker->simdgroups; i++) {
    worker->simd[i].ready = worker->simd[i].parked;
    worker->simd[i].parked = 0;
  }
  return true;
}

// The thread to go on, or NULL when all have ended.
static mtl_lane *pick(mtl_worker *worker) {
  while (true) {
    mtl_simdgroup *simd = &worker->simd[worker->simdgroup];
    if (simd->ready) {
      worker->current = worker->simdgroup * MTL_LANES + first_of(simd->ready);
      simd->ready &= simd->ready - 1;
      worker->mark = (uint64_t)worker->epoch << 32 | (uint64_t)(simd->epoch & 0xfffff) << 12 | worker->current << 1;
      return &worker->lanes[worker->current];
    }
    if (simd->exchanging) {
      complete_exchange(worker, simd);
    } else if (simd->meeting) {
      complete_meeting(worker, simd);
    } else if (++worker->simdgroup == worker->simdgroups) {
      worker->simdgroup = 0;
      if (!complete_barrier(worker)) return NULL;
    }
  }
}

static void describe(const mtl_worker *worker, mtl_thread *thread) {
  uint32_t index = worker->current;
  mtl_thread_position(worker, index, thread->thread_position_in_grid, thread->thread_position_in_threadgroup);
  thread->thread_index_in_threadgroup = index;
  thread->thread_index_in_simdgroup = index % MTL_LANES;
  thread->simdgroup_index_in_threadgroup = index / MTL_LANES;
}

// What is the same for all threads of the threadgroup.
static void describe_threadgroup(const mtl_worker *worker, mtl_thread *thread) {
  const mtl_dispatch *dispatch = worker->dispatch;
  const uint32_t *full = dispatch->threadgroup;
  for (int i = 0; i < 3; i++) {
    thread->threadgroup_position_in_grid[i] = worker->group[i];
    thread->threadgroups_per_grid[i] = dispatch->groups[i];
    thread->threads_per_grid[i] = dispatch->threads[i];
    thread->threads_per_threadgroup[i] = worker->size[i];
    thread->dispatch_threads_per_threadgroup[i] = full[i];
    thread->grid_origin[i] = 0;
  }
  thread->simdgroups_per_threadgroup = worker->simdgroups;
  thread->dispatch_simdgroups_per_threadgroup = (full[0] * full[1] * full[2] + MTL_LANES - 1) / MTL_LANES;
}

// The body of every fiber: runs threads one after the other, until one that waited is to go on.
static void run_threads(void) {
  mtl_worker *worker = mtl_self();
  const mtl_dispatch *dispatch = worker->dispatch;
  void *arguments[MTL_MOST_PARAMETERS];
  mtl_thread thread;
  memcpy(arguments, worker->arguments, sizeof arguments[0] * dispatch->parameters);
  describe_threadgroup(worker, &thread);
  mtl_lane *next;
  do {
    describe(worker, &thread);
    dispatch->module->entry(arguments, &thread);
    worker->simd[worker->simdgroup].ended |= 1u << worker->current % MTL_LANES;
    next = pick(worker);
  } while (next && !next->stack_pointer);
  mtl_stack_give(worker);
  mtl_switch(&worker->abandoned, next ? next->stack_pointer : worker->host);
}

static void *new_fiber(mtl_worker *worker) {
  void *fiber = mtl_stack_take(worker, run_threads);
  if (!fiber) mtl_fail(worker, "there is no memory for the stacks of its threads");
  return fiber;
}

// Called by a thread that has noted what it waits for.
static void wait(mtl_worker *worker) {
  mtl_lane *self = &worker->lanes[worker->current], *next = pick(worker);
  if (next == self) return;
  mtl_switch(&self->stack_pointer, next->stack_pointer ? next->stack_pointer : new_fiber(worker));
}

static void barrier(uint32_t scope, uint32_t site) {
  mtl_worker *worker = mtl_self();
  mtl_simdgroup *simd = &worker->simd[worker->simdgroup];
  uint32_t bit = 1u << worker->current % MTL_LANES;
  worker->lanes[worker->current].site = site;
  *(scope == SIMDGROUP ? &simd->meeting : &simd->parked) |= bit;
  wait(worker);
}

static uint32_t exchange(const void *value, uint32_t bytes, uint32_t site, const uint8_t **published) {
  mtl_worker *worker = mtl_self();
  mtl_simdgroup *simd = &worker->simd[worker->simdgroup];
  mtl_lane *lane = &worker->lanes[worker->current];
  uint32_t index = worker->current % MTL_LANES;
  lane->site = site;
  trace(worker, __builtin_frame_address(0), lane);
  lane->phase = simd->phase;
  memcpy(simd->slots[simd->phase & 1][index], value, bytes < MTL_SLOT ? bytes : MTL_SLOT);
  simd->exchanging |= 1u << index;
  wait(worker);
  // No other exchange of this simdgroup completes before this lane waits again.
  *published = simd->slots[(simd->phase - 1) & 1][0];
  return simd->taken;
}

static void inactive(uint32_t lane, uint32_t site) {
  mtl_worker *worker = mtl_self();
  if (!worker->dispatch->checks) return;
  char text[96];
  mtl_thread_text(worker, worker->current, text);
  const mtl_simdgroup *simd = &worker->simd[worker->simdgroup];
  const char *why = lane >= MTL_LANES || !(simd->all >> lane & 1) ? "which does not exist"
                    : simd->ended >> lane & 1                     ? "which has ended"
                                                                  : "which is not there";
  mtl_fail(worker, "the simdgroup operation at @{%u:%u} reads lane %u, %s, in %s", line_of(site), column_of(site), lane,
           why, text);
}

static uint32_t lane(void) { return mtl_self()->current % MTL_LANES; }

const mtl_hooks mtl_executor_hooks = {barrier, exchange, mtl_access, inactive, lane};

void mtl_thread_position(const mtl_worker *worker, uint32_t thread, uint32_t grid[3], uint32_t group[3]) {
  const uint32_t *size = worker->size, *full = worker->dispatch->threadgroup;
  group[0] = thread % size[0];
  group[1] = thread / size[0] % size[1];
  group[2] = thread / size[0] / size[1];
  for (int i = 0; i < 3; i++) grid[i] = worker->group[i] * full[i] + group[i];
}

static void place(mtl_worker *worker, uint64_t group) {
  const mtl_dispatch *dispatch = worker->dispatch;
  const uint32_t *groups = dispatch->groups;
  worker->group[0] = (uint32_t)(group % groups[0]);
  worker->group[1] = (uint32_t)(group / groups[0] % groups[1]);
  worker->group[2] = (uint32_t)(group / groups[0] / groups[1]);
  uint32_t threads = 1;
  for (int i = 0; i < 3; i++) {
    uint32_t left = dispatch->threads[i] - worker->group[i] * dispatch->threadgroup[i];
    worker->size[i] = left < dispatch->threadgroup[i] ? left : dispatch->threadgroup[i];
    threads *= worker->size[i];
  }
  worker->simdgroups = (threads + MTL_LANES - 1) / MTL_LANES;
  worker->simdgroup = 0;
  worker->epoch++;
  for (uint32_t i = 0; i < threads; i++) worker->lanes[i].stack_pointer = NULL;
  for (uint32_t i = 0; i < worker->simdgroups; i++) {
    mtl_simdgroup *simd = &worker->simd[i];
    uint32_t lanes = threads - i * MTL_LANES;
    simd->all = lanes < MTL_LANES ? (1u << lanes) - 1 : UINT32_MAX;
    simd->ready = simd->all;
    simd->exchanging = simd->meeting = simd->parked = simd->ended = 0;
    simd->epoch = 0;
  }
}

bool mtl_run_threadgroup(mtl_worker *worker, uint64_t group) {
  place(worker, group);
  for (uint32_t i = 0; worker->dispatch->checks && i < worker->range_count; i++) {
    const mtl_range *range = &worker->ranges[i];
    if (range->threadgroup) memset((void *)range->low, 0xff, range->bytes);
  }
  pick(worker);
  void *fiber = mtl_stack_take(worker, run_threads);
  if (!fiber) {
    memcpy(worker->message, "there is no memory for the stacks of its threads", 49);
    worker->failed = true;
    return false;
  }
  mtl_switch(&worker->host, fiber);
  return !worker->failed;
}
#endif
