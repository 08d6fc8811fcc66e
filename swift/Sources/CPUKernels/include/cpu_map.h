// Files in memory, read only. A page that a file does not have any more, since it became shorter or its disk
// failed, is no crash: the map is zeros from then on, and says that it is broken.
#ifndef CPU_MAP_H
#define CPU_MAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cpu_map {
  const uint8_t *start;  // a page of zeros follows the last byte
  uint64_t bytes;
  uint64_t device, inode;
  int file;
  void *watch;
} cpu_map;

// Opens a regular file; 0, or errno.
int cpu_map_open(const char *path, cpu_map *map);
// Whether what was read from the map so far was the file.
bool cpu_map_is_whole(const cpu_map *map);
void cpu_map_close(cpu_map *map);

#endif
