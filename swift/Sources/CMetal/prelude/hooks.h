// What a compiled kernel and the emulator's executor know of each other.
#ifndef MTL_HOOKS_H
#define MTL_HOOKS_H

#ifdef __cplusplus
typedef unsigned int uint32_t;
typedef unsigned char uint8_t;
#else
#include <stdint.h>
#endif

typedef struct mtl_thread {
  uint32_t thread_position_in_grid[3], thread_position_in_threadgroup[3], threadgroup_position_in_grid[3],
      threadgroups_per_grid[3], threads_per_grid[3];
  uint32_t threads_per_threadgroup[3];  // of this threadgroup: partial at the edges of the grid
  uint32_t dispatch_threads_per_threadgroup[3], grid_origin[3];
  uint32_t thread_index_in_threadgroup, thread_index_in_simdgroup, simdgroup_index_in_threadgroup,
      simdgroups_per_threadgroup, dispatch_simdgroups_per_threadgroup;
} mtl_thread;

typedef struct mtl_hooks {
  // scope: 0 simdgroup, 1 threadgroup
  void (*barrier)(uint32_t scope, uint32_t site);
  // Publishes up to 64 bytes of this lane and waits for the active lanes of the simdgroup. *lanes: 32 slots of
  // 64 bytes. Returns the mask of lanes that took part.
  uint32_t (*exchange)(const void *value, uint32_t bytes, uint32_t site, const uint8_t **lanes);
  // Before each access, with checks on. kind: 0 read, 1 write, 2 atomic
  void (*access)(const void *address, uint32_t bytes, uint32_t kind);
  // A lane that did not take part is read: an error with checks on.
  void (*inactive)(uint32_t lane, uint32_t site);
  // Which lane of its simdgroup the caller is.
  uint32_t (*lane)(void);
} mtl_hooks;

#endif
