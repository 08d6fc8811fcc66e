// Fibers: their switch, and the stacks and workers they run on.
#ifdef __linux__
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker.h"

#if defined(__x86_64__)
// Saves what a call must keep. A jump, as returns to another caller are never foreseen.
__asm__(
    ".text\n.p2align 4\n.globl mtl_switch\n.hidden mtl_switch\n.type mtl_switch,@function\nmtl_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  popq %rcx\n  jmp *%rcx\n.size mtl_switch,.-mtl_switch\n");

static void *prepare(uintptr_t top, void (*start)(void)) {
  uintptr_t *at = (uintptr_t *)(top & ~(uintptr_t)15);
  *--at = 0;  // as a call leaves it: the stack is aligned but for the return address
  *--at = (uintptr_t)start;
  for (int i = 0; i < 6; i++) *--at = 0;
  return at;
}
#elif defined(__aarch64__)
__asm__(
    ".text\n.p2align 4\n.globl mtl_switch\n.hidden mtl_switch\n.type mtl_switch,%function\nmtl_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x2, sp\n  str x2, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  br x30\n.size mtl_switch,.-mtl_switch\n");

static void *prepare(uintptr_t top, void (*start)(void)) {
  uintptr_t *at = (uintptr_t *)((top & ~(uintptr_t)15) - 160);
  for (int i = 0; i < 20; i++) at[i] = 0;
  at[11] = (uintptr_t)start;  // x30
  return at;
}
#else
#error "The emulator runs on x86-64 and arm64"
#endif

// Each guard page costs two mappings, of which a process has 65,530 by default.
#define MTL_MOST_GUARDS 16384

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mtl_worker *shelf;
static uint32_t guards;

static uintptr_t stack_of(const mtl_worker *worker, uint32_t slot) { return (uintptr_t)worker + MTL_STACK * (slot + 1); }

// Makes one more stack usable. Its lowest page stays closed, while mappings last.
static bool map_stack(mtl_worker *worker) {
  if (worker->mapped == MTL_MOST_THREADS) return false;
  uintptr_t low = stack_of(worker, worker->mapped);
  uintptr_t guard = __atomic_fetch_add(&guards, 1, __ATOMIC_RELAXED) < MTL_MOST_GUARDS ? (uintptr_t)sysconf(_SC_PAGESIZE) : 0;
  if (mprotect((void *)(low + guard), MTL_STACK - guard, PROT_READ | PROT_WRITE) != 0) return false;
  worker->free_stacks[worker->free_count++] = (uint16_t)worker->mapped++;
  return true;
}

void *mtl_stack_take(mtl_worker *worker, void (*start)(void)) {
  if (worker->free_count == 0 && !map_stack(worker)) return NULL;
  uint32_t slot = worker->free_stacks[--worker->free_count];
  // Tops apart by some lines: the same place in every stack would be the same set of the cache.
  uintptr_t top = stack_of(worker, slot) + MTL_STACK - (slot * 5 % 64) * 64;
  return prepare(top, start);
}

void mtl_stack_give(mtl_worker *worker) {
  uintptr_t offset = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)worker;
  worker->free_stacks[worker->free_count++] = (uint16_t)(offset / MTL_STACK - 1);
}

static mtl_worker *make(void) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  unsigned char *space = mmap(NULL, 2 * MTL_REGION, PROT_NONE, flags, -1, 0);
  if (space == MAP_FAILED) return NULL;
  unsigned char *low = (unsigned char *)(((uintptr_t)space + MTL_REGION - 1) & ~(MTL_REGION - 1));
  if (low > space) munmap(space, (size_t)(low - space));
  unsigned char *end = space + 2 * MTL_REGION;
  if (end > low + MTL_REGION) munmap(low + MTL_REGION, (size_t)(end - (low + MTL_REGION)));
  if (mprotect(low, MTL_STACK, PROT_READ | PROT_WRITE) != 0) {
    munmap(low, MTL_REGION);
    return NULL;
  }
  return (mtl_worker *)low;
}

mtl_worker *mtl_worker_take(void) {
  pthread_mutex_lock(&lock);
  mtl_worker *worker = shelf;
  if (worker) shelf = worker->next;
  pthread_mutex_unlock(&lock);
  return worker ? worker : make();
}

void mtl_worker_give(mtl_worker *worker) {
  // Threads that failed kept theirs.
  worker->free_count = 0;
  for (uint32_t slot = worker->mapped; slot > 0; slot--) worker->free_stacks[worker->free_count++] = (uint16_t)(slot - 1);
  pthread_mutex_lock(&lock);
  worker->next = shelf;
  shelf = worker;
  pthread_mutex_unlock(&lock);
}

void *mtl_argument_memory(mtl_worker *worker, uint32_t parameter, uint32_t bytes) {
  // Like stacks: not all at the same place of a page.
  uint32_t shift = parameter % 8 * 256, wanted = bytes + shift;
  unsigned char *low = (unsigned char *)worker + MTL_ARGUMENTS_AT + parameter * MTL_ARGUMENT_GAP;
  if (wanted > worker->argument_room[parameter]) {
    uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), room = (wanted + page - 1) / page * page;
    if (room > MTL_ARGUMENT_GAP / 2 || mprotect(low, room, PROT_READ | PROT_WRITE) != 0) return NULL;
    worker->argument_room[parameter] = room;
  }
  return low + shift;
}
#endif
