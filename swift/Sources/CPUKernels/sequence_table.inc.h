// The table of the instruction set being compiled.
#include "simd.h"

#include "cpu_sequence.h"

#include "sums.inc.h"

#include "sequence_elements.inc.h"

#include "sequence.inc.h"

const cpu_sequence_kernels FN(cpu_sequence) = {
    .sum = FN(sum),
    .largest = FN(largest),
    .layer_norm = FN(layer_norm),
    .soft_cap = FN(soft_cap),
    .widen = FN(widen),
    .narrow = FN(narrow),
    .linear = FN(linear),
    .tanh_all = FN(tanh_all),
};
