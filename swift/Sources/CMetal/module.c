// Compiled kernels: shared libraries with one entry, whose threadgroup variables are thread-local.
#ifdef __linux__
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "dispatch.h"

typedef struct tls_index {
  size_t module, offset;
} tls_index;

// As compiled code finds thread-local variables; makes them for this thread when it must.
extern void *__tls_get_addr(tls_index *index);

typedef struct search {
  mtl_module *module;
  uintptr_t base;
} search;

// Notes the segments of one library.
static int visit(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size;
  search *search = argument;
  mtl_module *module = search->module;
  if (info->dlpi_addr != search->base) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type == PT_TLS) {
      module->threadgroup_bytes = header->p_memsz;
      module->tls_module = info->dlpi_tls_modid;
    } else if (header->p_type == PT_LOAD && module->image_count < MTL_MOST_IMAGES) {
      mtl_range *image = &module->images[module->image_count++];
      image->low = info->dlpi_addr + header->p_vaddr;
      image->bytes = header->p_memsz;
      image->label = "the program's constants";
      image->image = true;
      if (header->p_flags & PF_X) {
        module->code = image->low;
        module->code_bytes = header->p_memsz;
      }
    }
  }
  return 1;
}

mtl_module *mtl_module_open(const char *path, char *error, size_t room) {
  mtl_module *module = calloc(1, sizeof *module);
  if (!module) {
    snprintf(error, room, "there is no memory");
    return NULL;
  }
  module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  struct link_map *map = NULL;
  if (!module->handle || dlinfo(module->handle, RTLD_DI_LINKMAP, &map) != 0) {
    snprintf(error, room, "%s", dlerror());
    mtl_module_close(module);
    return NULL;
  }
  module->entry = (mtl_entry)dlsym(module->handle, "mtl_entry");
  module->argument_bytes = dlsym(module->handle, "mtl_argument_bytes");
  const mtl_hooks **runtime = dlsym(module->handle, "mtl_runtime");
  if (!module->entry || !module->argument_bytes || !runtime) {
    snprintf(error, room, "%s lacks a symbol", path);
    mtl_module_close(module);
    return NULL;
  }
  *runtime = &mtl_executor_hooks;
  search search = {module, map->l_addr};
  dl_iterate_phdr(visit, &search);
  if (module->tls_module) mtl_module_read_variables(module, path);
  return module;
}

void mtl_module_close(mtl_module *module) {
  if (module->handle) dlclose(module->handle);
  free(module);
}

uint64_t mtl_module_threadgroup_bytes(const mtl_module *module) { return module->threadgroup_bytes; }
const uint32_t *mtl_module_argument_bytes(const mtl_module *module) { return module->argument_bytes; }

void *mtl_module_variables(const mtl_module *module) {
  tls_index index = {module->tls_module, 0};
  return __tls_get_addr(&index);
}
#endif
