// Buffers of the emulator: each in address space of its own.
#ifdef __linux__
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/CMetal.h"

#define BEFORE ((uint64_t)1 << 30)
#define AFTER ((uint64_t)4 << 30)

static uint64_t whole_pages(uint64_t bytes) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

void *mtl_memory_allocate(uint64_t bytes) {
  if (bytes == 0 || bytes > (uint64_t)1 << 46) return NULL;
  uint64_t length = whole_pages(bytes);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  unsigned char *space = mmap(NULL, BEFORE + length + AFTER, PROT_NONE, flags, -1, 0);
  if (space == MAP_FAILED) return NULL;
  if (mprotect(space + BEFORE, length, PROT_READ | PROT_WRITE) != 0) {
    munmap(space, BEFORE + length + AFTER);
    return NULL;
  }
  return space + BEFORE;
}

void mtl_memory_free(void *memory, uint64_t bytes) {
  munmap((unsigned char *)memory - BEFORE, BEFORE + whole_pages(bytes) + AFTER);
}

// A limit of the control group this process is in: absent, "max", or a number.
static uint64_t group_limit(const char *path) {
  FILE *file = fopen(path, "re");
  unsigned long long bytes = 0;
  if (!file) return UINT64_MAX;
  int found = fscanf(file, "%llu", &bytes);
  fclose(file);
  return found == 1 && bytes > 0 ? bytes : UINT64_MAX;
}

uint64_t mtl_memory_limit(void) {
  uint64_t limits[] = {
      (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
      group_limit("/sys/fs/cgroup/memory.max"),
      group_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
  };
  uint64_t least = limits[0];
  for (int i = 1; i < 3; i++) least = limits[i] < least ? limits[i] : least;
  return least;
}
#endif
