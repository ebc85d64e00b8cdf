// Functions of single tokens on a CPU, each in one pass over memory. Built by build.py of the kernels,
// called by __init__.py, which declares the same arguments.
//
// All tensors are contiguous. Of the type N that a function's name ends in are all but a weight and its
// gradient, which are floats. dy is the gradient of the output; where it is null, the output is written,
// and else the gradients.

#include "blend.h"
#include "norm.h"
#include "swiglu.h"

#define FUNCTIONS(NAME, N)                                                                          \
    extern "C" void norm_##NAME(const N *x, const N *dy, const float *weight, N *y_or_dx,           \
                                float *d_weight, int64_t rows, int64_t width, float eps,            \
                                int64_t threads) {                                                  \
        run(Norm<N>{x, dy, weight, y_or_dx, d_weight, rows, width, eps}, threads);                  \
    }                                                                                               \
    /* x [rows, 2 width] = [gate, value] */                                                         \
    extern "C" void swiglu_##NAME(const N *x, const N *dy, N *y_or_dx, int64_t rows, int64_t width, \
                                  int64_t threads) {                                                \
        run(SwiGLU<N>{x, dy, y_or_dx, rows, width}, threads);                                       \
    }                                                                                               \
    extern "C" void blend_##NAME(const N *gate, const N *a, const N *b, const N *dy, N *y,          \
                                 N *d_gate, N *da, N *db, int64_t count, int64_t threads) {         \
        run(Blend<N>{gate, a, b, dy, y, d_gate, da, db, count}, threads);                           \
    }

FUNCTIONS(float32, float)
FUNCTIONS(bfloat16, BFloat16)
