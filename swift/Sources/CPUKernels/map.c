// Files in memory. The kernel sends SIGBUS to a thread that reads a mapped page behind the end of its file. The
// handler here puts zeros in place of that map, marks it, and lets the thread go on: whoever reads maps asks
// afterwards whether they are whole. Faults elsewhere go to the handler that was there before.
#include "cpu_map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

// What the handler knows of a map. Never freed, since a handler may be looking at it: used again.
typedef struct watch {
  uintptr_t start, end;  // start is 0 where there is no map
  uint32_t broken;
  struct watch *next;
} watch;

static watch *watches;
static struct sigaction before;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_fault(int signal, siginfo_t *info, void *context) {
  uintptr_t at = (uintptr_t)info->si_addr;
  int error = errno;
  for (watch *w = __atomic_load_n(&watches, __ATOMIC_ACQUIRE); w; w = w->next) {
    uintptr_t start = __atomic_load_n(&w->start, __ATOMIC_ACQUIRE);
    if (!start || at < start || at >= __atomic_load_n(&w->end, __ATOMIC_ACQUIRE)) continue;
    __atomic_store_n(&w->broken, 1, __ATOMIC_RELEASE);
    void *zeros = mmap((void *)start, w->end - start, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    errno = error;
    return;
  }
  errno = error;
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    // The instruction runs again, and ends the process as it would have.
    sigaction(SIGBUS, &before, NULL);
  }
}

// Installs the handler unless it is the one in force.
static void install(void) {
  struct sigaction now;
  if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault) return;
  struct sigaction ours = {0};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  before = now;
  sigaction(SIGBUS, &ours, NULL);
}

static watch *watch_range(uintptr_t start, uintptr_t end) {
  pthread_mutex_lock(&lock);
  install();
  watch *w = watches;
  while (w && w->start) w = w->next;
  bool is_new = !w;
  if (is_new) w = calloc(1, sizeof *w);
  if (w) {
    w->broken = 0;
    __atomic_store_n(&w->end, end, __ATOMIC_RELEASE);
    __atomic_store_n(&w->start, start, __ATOMIC_RELEASE);
    if (is_new) {
      w->next = watches;
      __atomic_store_n(&watches, w, __ATOMIC_RELEASE);
    }
  }
  pthread_mutex_unlock(&lock);
  return w;
}

static uint64_t page_bytes(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

static uint64_t whole_pages(uint64_t bytes) {
  uint64_t page = page_bytes();
  return (bytes + page - 1) / page * page;
}

int cpu_map_open(const char *path, cpu_map *map) {
  *map = (cpu_map){.file = open(path, O_RDONLY | O_CLOEXEC)};
  if (map->file < 0) return errno;
  struct stat facts;
  int error = fstat(map->file, &facts) ? errno : S_ISREG(facts.st_mode) ? 0 : EINVAL;
  if (!error && facts.st_size == 0) error = ENODATA;
  if (!error) {
    map->bytes = (uint64_t)facts.st_size;
    map->device = (uint64_t)facts.st_dev;
    map->inode = (uint64_t)facts.st_ino;
    // Room for all and a page behind it, then the file over that: kernels may look past a last row.
    uint64_t pages = whole_pages(map->bytes);
    void *room = mmap(NULL, pages + page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *at = room == MAP_FAILED ? room : mmap(room, map->bytes, PROT_READ, MAP_SHARED | MAP_FIXED, map->file, 0);
    if (at == MAP_FAILED) {
      error = errno;
      if (room != MAP_FAILED) munmap(room, pages + page_bytes());
    } else {
      map->start = at;
      map->watch = watch_range((uintptr_t)at, (uintptr_t)at + pages);
      if (map->watch) return 0;
      error = ENOMEM;
      munmap(at, pages + page_bytes());
    }
  }
  close(map->file);
  return error;
}

bool cpu_map_is_whole(const cpu_map *map) {
  const watch *w = map->watch;
  if (__atomic_load_n(&w->broken, __ATOMIC_ACQUIRE)) return false;
  // The rest of the page that a shorter file ends in reads as zeros, and faults nowhere.
  struct stat facts;
  return fstat(map->file, &facts) == 0 && (uint64_t)facts.st_size >= map->bytes;
}

void cpu_map_close(cpu_map *map) {
  watch *w = map->watch;
  __atomic_store_n(&w->start, 0, __ATOMIC_RELEASE);
  munmap((void *)map->start, whole_pages(map->bytes) + page_bytes());
  close(map->file);
}
