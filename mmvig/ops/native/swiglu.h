// SwiGLU of rows [gate, value], forward and backward in one pass over memory.

#pragma once

#include "blocks.h"
#include "../../kernels/native/numbers.h"

namespace {

template <typename N>
void swiglu_forward(N *__restrict__ y, const N *__restrict__ x, int64_t width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        const float gate = widen(x[i]), value = widen(x[width + i]);
        y[i] = narrow<N>(gate / (1.f + exponential(-gate)) * value);
    }
}

template <typename N>
void swiglu_backward(
    N *__restrict__ dx, const N *__restrict__ x, const N *__restrict__ dy, int64_t width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        const float gate = widen(x[i]), value = widen(x[width + i]), d = widen(dy[i]);
        const float open = sigmoid(gate);
        dx[i] = narrow<N>(d * value * open * (1.f + gate * (1.f - open)));
        dx[width + i] = narrow<N>(d * gate * open);
    }
}

template <typename N>
struct SwiGLU {
    const N *x, *dy;
    N *y;
    int64_t rows, width;
};

template <typename N>
void run(const SwiGLU<N> &f, int64_t threads) {
    const int64_t width = f.width;
    for_blocks(f.rows, width, threads, [&](int64_t, int64_t first, int64_t last) {
        for (int64_t row = first; row < last; row++) {
            const N *x = f.x + row * 2 * width;
            f.dy ? swiglu_backward(f.y + row * 2 * width, x, f.dy + row * width, width)
                 : swiglu_forward(f.y + row * width, x, width);
        }
    });
}

}  // namespace
