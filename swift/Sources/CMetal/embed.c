// The texts that kernels are compiled with, in the order that prelude/common.h names.
#ifdef __linux__
#include "include/CMetal.h"

// A file that is asked for becomes a dependency of this one, so that the build notices its changes.
#if !(__has_include("prelude/hooks.h") && __has_include("prelude/emulator.h") && \
      __has_include("prelude/cuda.h") && __has_include("prelude/common.h") && \
      __has_include("prelude/float16.h") && __has_include("prelude/vector.h") && \
      __has_include("prelude/packed.h") && __has_include("prelude/limits.h") && \
      __has_include("prelude/overload.h") && __has_include("prelude/math.h") && \
      __has_include("prelude/integer.h") && __has_include("prelude/relational.h") && \
      __has_include("prelude/geometric.h") && __has_include("prelude/matrix.h") && \
      __has_include("prelude/pack.h") && __has_include("prelude/atomic.h") && \
      __has_include("prelude/simdgroup.h") && __has_include("prelude/quadgroup.h") && \
      __has_include("prelude/simdgroup_matrix.h") && __has_include("prelude/entry.h"))
#error "a file of the prelude is missing"
#endif

// Paths are looked for in the include directories, of which `include` is always one.
#define MTL_TEXT(name) ".incbin \"../prelude/" name "\"\n.byte 10\n"
#define MTL_COMMON                                                                                             \
  MTL_TEXT("common.h") MTL_TEXT("float16.h") MTL_TEXT("vector.h") MTL_TEXT("packed.h") MTL_TEXT("limits.h")    \
  MTL_TEXT("overload.h") MTL_TEXT("math.h") MTL_TEXT("integer.h") MTL_TEXT("relational.h")                     \
  MTL_TEXT("geometric.h") MTL_TEXT("matrix.h") MTL_TEXT("pack.h") MTL_TEXT("atomic.h") MTL_TEXT("simdgroup.h") \
  MTL_TEXT("quadgroup.h") MTL_TEXT("simdgroup_matrix.h") MTL_TEXT("entry.h")
#define MTL_EMBED(name, texts)                                                                        \
  __asm__(".section .rodata\n.hidden mtl_text_" #name "\n.globl mtl_text_" #name "\nmtl_text_" #name ":\n" texts \
          ".byte 0\n.text\n");                                                                        \
  extern const char mtl_text_##name[];                                                                \
  const char *mtl_prelude_##name(void) { return mtl_text_##name; }

MTL_EMBED(emulator, MTL_TEXT("hooks.h") MTL_TEXT("emulator.h") MTL_COMMON)
MTL_EMBED(cuda, MTL_TEXT("cuda.h") MTL_COMMON)
#if __has_include("prelude/lint.h")
MTL_EMBED(lint, MTL_TEXT("lint.h") MTL_COMMON)
#endif
#endif
