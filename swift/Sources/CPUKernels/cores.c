// Where threads run.
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include "cpu_kernels.h"

#if defined(__linux__)
int cpu_core(void) { return sched_getcpu(); }

void cpu_leave_core(int core) {
  cpu_set_t allowed, others;
  if (core < 0 || core >= CPU_SETSIZE || sched_getcpu() != core) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  others = allowed;
  CPU_CLR(core, &others);
  // The kernel moves the thread at once; then it may run anywhere again.
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
int cpu_core(void) { return -1; }
void cpu_leave_core(int core) { (void)core; }
#endif
