// A dispatch: which threadgroups are left, what their threads may touch, and what failed first.
#ifdef __linux__
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

mtl_dispatch *mtl_dispatch_make(const mtl_module *module, const char *kernel, bool checks, const uint32_t threads[3],
                                const uint32_t threadgroup[3], const mtl_argument *arguments, uint32_t parameters) {
  if (parameters > MTL_MOST_PARAMETERS) return NULL;
  mtl_dispatch *dispatch = calloc(1, sizeof *dispatch);
  if (!dispatch) return NULL;
  dispatch->module = module;
  dispatch->kernel = kernel;
  dispatch->checks = checks;
  dispatch->count = 1;
  for (int i = 0; i < 3; i++) {
    dispatch->threads[i] = threads[i];
    dispatch->threadgroup[i] = threadgroup[i];
    dispatch->groups[i] = (uint32_t)(((uint64_t)threads[i] + threadgroup[i] - 1) / threadgroup[i]);
    dispatch->count *= dispatch->groups[i];
  }
  dispatch->parameters = parameters;
  dispatch->threadgroup_bytes = (uint32_t)(module->threadgroup_bytes + 15) / 16 * 16;
  for (uint32_t i = 0; i < parameters; i++) {
    dispatch->arguments[i] = arguments[i];
    dispatch->threadgroup_bytes += (arguments[i].threadgroup_bytes + 15) / 16 * 16;
  }
  pthread_mutex_init(&dispatch->lock, NULL);
  return dispatch;
}

uint64_t mtl_dispatch_threadgroups(const mtl_dispatch *dispatch) { return dispatch->count; }
const char *mtl_dispatch_error(const mtl_dispatch *dispatch) { return dispatch->failed ? dispatch->message : NULL; }

void mtl_dispatch_free(mtl_dispatch *dispatch) {
  pthread_mutex_destroy(&dispatch->lock);
  free(dispatch);
}

static void fail(mtl_dispatch *dispatch, uint64_t group, const char *message) {
  pthread_mutex_lock(&dispatch->lock);
  if (!dispatch->failed || group < dispatch->failed_group) {
    dispatch->failed_group = group;
    snprintf(dispatch->message, sizeof dispatch->message, "Cannot run kernel %s: %s", dispatch->kernel, message);
  }
  __atomic_store_n(&dispatch->failed, 1, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&dispatch->lock);
}

static mtl_range *add_range(mtl_worker *worker, const char *label, void *memory, uint64_t bytes) {
  mtl_range *range = &worker->ranges[worker->range_count++];
  memset(range, 0, sizeof *range);
  range->label = label;
  range->low = (uintptr_t)memory;
  range->bytes = bytes;
  return range;
}

static mtl_range *add_threadgroup_range(mtl_worker *worker, const char *label, void *memory, uint32_t bytes, uint32_t *shadow) {
  mtl_range *range = add_range(worker, label, memory, bytes);
  range->writable = range->threadgroup = true;
  range->shadow = *shadow;
  *shadow += (bytes + 15) / 16 * 16;
  return range;
}

// Gives the worker what threads of this dispatch get and may touch.
static bool equip(mtl_worker *worker, const mtl_dispatch *dispatch) {
  const mtl_module *module = dispatch->module;
  uint32_t shadow = 0;
  worker->dispatch = dispatch;
  worker->failed = false;
  worker->range_count = 0;
  worker->recent[0] = worker->recent[1] = worker->shared = NULL;
  if (dispatch->checks && !mtl_shadow_reserve(worker, dispatch->threadgroup_bytes)) return false;
  for (uint32_t i = 0; i < dispatch->parameters; i++) {
    const mtl_argument *argument = &dispatch->arguments[i];
    worker->arguments[i] = argument->memory;
    if (argument->threadgroup_bytes) {
      void *memory = mtl_argument_memory(worker, i, argument->threadgroup_bytes);
      if (!memory) return false;
      worker->arguments[i] = memory;
      add_threadgroup_range(worker, argument->label, memory, argument->threadgroup_bytes, &shadow);
    } else if (argument->memory) {
      add_range(worker, argument->label, argument->memory, argument->bytes)->writable = argument->writable;
    }
  }
  if (module->tls_module) {
    void *memory = mtl_module_variables(module);
    add_threadgroup_range(worker, "the threadgroup variables", memory, (uint32_t)module->threadgroup_bytes, &shadow)
        ->variables = true;
  }
  for (uint32_t i = 0; i < module->image_count; i++) worker->ranges[worker->range_count++] = module->images[i];
  return true;
}

void mtl_dispatch_run(mtl_dispatch *dispatch) {
  mtl_worker *worker = mtl_worker_take();
  if (!worker || !equip(worker, dispatch)) {
    fail(dispatch, 0, "there is no memory for its threads");
    if (worker) mtl_worker_give(worker);
    return;
  }
  while (!__atomic_load_n(&dispatch->failed, __ATOMIC_ACQUIRE)) {
    uint64_t group = __atomic_fetch_add(&dispatch->next, 1, __ATOMIC_RELAXED);
    if (group >= dispatch->count) break;
    if (!mtl_run_threadgroup(worker, group)) fail(dispatch, group, worker->message);
  }
  mtl_worker_give(worker);
}
#endif
