// One piece of memory for many arrays: asked for all of them once to count, then again to hand them out.
#ifndef ADDITIVE_ROOM_H
#define ADDITIVE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct cpu_room {
  uint8_t *memory;  // NULL while counting
  size_t used;
} cpu_room;

// An array on 64 bytes.
static inline void *cpu_room_take(cpu_room *room, size_t bytes) {
  size_t at = room->used;
  room->used += (bytes + 63) / 64 * 64;
  return room->memory ? room->memory + at : NULL;
}

static inline bool cpu_room_open(cpu_room *room) {
  room->memory = aligned_alloc(64, room->used + 64);
  room->used = 0;
  return room->memory != NULL;
}

#endif
