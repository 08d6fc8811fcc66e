// The kernel of sample.h: sample_rows.
#include "sample.h"
