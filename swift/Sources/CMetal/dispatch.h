// A dispatch, and the module it runs, as executor and modules know them.
#ifndef MTL_DISPATCH_H
#define MTL_DISPATCH_H

#include <pthread.h>

#include "worker.h"

typedef void (*mtl_entry)(void *const *arguments, const mtl_thread *thread);

#define MTL_MOST_IMAGES 8

#define MTL_MOST_VARIABLES 64

// A threadgroup variable, by its place among them.
typedef struct mtl_variable {
  uint64_t offset, bytes;
  char name[64];
} mtl_variable;

struct mtl_module {
  void *handle;
  mtl_entry entry;
  const uint32_t *argument_bytes;
  uint64_t threadgroup_bytes;
  size_t tls_module;  // 0: no threadgroup variables
  uintptr_t code, code_bytes;
  mtl_range images[MTL_MOST_IMAGES];
  uint32_t image_count;
  mtl_variable variables[MTL_MOST_VARIABLES];
  uint32_t variable_count;
};

// Where this thread's threadgroup variables are.
void *mtl_module_variables(const mtl_module *module);

// ---- symbols.c
void mtl_module_read_variables(mtl_module *module, const char *path);
// The one that an offset is in, or next to; NULL when none is known.
const mtl_variable *mtl_module_variable(const mtl_module *module, int64_t offset);

struct mtl_dispatch {
  const mtl_module *module;
  const char *kernel;
  bool checks;
  uint32_t threads[3], threadgroup[3], groups[3];
  uint32_t parameters;
  mtl_argument arguments[MTL_MOST_PARAMETERS];
  uint32_t threadgroup_bytes;  // of arguments and variables
  uint64_t count;              // threadgroups
  uint64_t next;
  pthread_mutex_t lock;
  uint32_t failed;
  uint64_t failed_group;  // the lowest, so that the message is the same every time
  char message[1024];
};

#endif
