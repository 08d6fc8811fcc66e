// The names of a compiled kernel's threadgroup variables, from its file's table of symbols: for messages.
#ifdef __linux__
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatch.h"

// The last name in a mangled one: "tile" of "_ZZL1kPfE4tile". False when there is none.
static bool last_name(const char *mangled, char *name, size_t room) {
  bool found = false;
  for (const char *at = mangled; *at; at++) {
    if (*at != 'E' || !isdigit((unsigned char)at[1])) continue;
    char *start;
    size_t length = strtoul(at + 1, &start, 10);
    if (length == 0 || length >= room || strlen(start) < length) continue;
    memcpy(name, start, length);
    name[length] = 0;
    found = true;
  }
  return found;
}

static void read_table(mtl_module *module, const unsigned char *file, size_t size, const ElfW(Shdr) *table,
                       const ElfW(Shdr) *strings) {
  if (table->sh_offset + table->sh_size > size || strings->sh_offset + strings->sh_size > size) return;
  const ElfW(Sym) *symbols = (const ElfW(Sym) *)(file + table->sh_offset);
  const char *names = (const char *)file + strings->sh_offset;
  for (size_t i = 0; i < table->sh_size / sizeof *symbols && module->variable_count < MTL_MOST_VARIABLES; i++) {
    const ElfW(Sym) *symbol = &symbols[i];
    if (ELF64_ST_TYPE(symbol->st_info) != STT_TLS || symbol->st_size == 0 || symbol->st_name >= strings->sh_size) continue;
    mtl_variable *variable = &module->variables[module->variable_count];
    if (!last_name(names + symbol->st_name, variable->name, sizeof variable->name)) continue;
    variable->offset = symbol->st_value;
    variable->bytes = symbol->st_size;
    module->variable_count++;
  }
}

void mtl_module_read_variables(mtl_module *module, const char *path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (descriptor < 0) return;
  unsigned char *file = MAP_FAILED;
  if (fstat(descriptor, &status) == 0 && (size_t)status.st_size > sizeof(ElfW(Ehdr))) {
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  }
  close(descriptor);
  if (file == MAP_FAILED) return;
  size_t size = (size_t)status.st_size;
  const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)file;
  if (header->e_shoff + (size_t)header->e_shnum * sizeof(ElfW(Shdr)) <= size) {
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(file + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
      if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header->e_shnum) continue;
      read_table(module, file, size, &sections[i], &sections[sections[i].sh_link]);
    }
  }
  munmap(file, size);
}

const mtl_variable *mtl_module_variable(const mtl_module *module, int64_t offset) {
  const mtl_variable *nearest = NULL;
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < module->variable_count; i++) {
    const mtl_variable *variable = &module->variables[i];
    int64_t start = (int64_t)variable->offset, end = start + (int64_t)variable->bytes;
    uint64_t far = offset < start ? (uint64_t)(start - offset) : offset < end ? 0 : (uint64_t)(offset - end) + 1;
    if (far >= least) continue;
    least = far;
    nearest = variable;
  }
  return nearest;
}
#endif
