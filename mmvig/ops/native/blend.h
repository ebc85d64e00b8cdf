// Two tensors mixed by a gate, forward and backward in one pass over memory.

#pragma once

#include "blocks.h"
#include "../../kernels/native/numbers.h"

namespace {

// y = s a + (1 - s) b with s = sigmoid(gate).
template <typename N>
struct Blend {
    const N *gate, *a, *b, *dy;
    N *y, *d_gate, *da, *db;
    int64_t count;
};

template <typename N>
void blend_forward(const Blend<N> &blend, int64_t first, int64_t last) {
    const N *__restrict__ gate = blend.gate, *__restrict__ a = blend.a, *__restrict__ b = blend.b;
    N *__restrict__ y = blend.y;
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
        const float one = widen(a[i]), other = widen(b[i]);
        y[i] = narrow<N>(other + sigmoid(widen(gate[i])) * (one - other));
    }
}

template <typename N>
void blend_backward(const Blend<N> &blend, int64_t first, int64_t last) {
    const N *__restrict__ gate = blend.gate, *__restrict__ a = blend.a, *__restrict__ b = blend.b;
    const N *__restrict__ dy = blend.dy;
    N *__restrict__ d_gate = blend.d_gate, *__restrict__ da = blend.da, *__restrict__ db = blend.db;
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
        const float d = widen(dy[i]), share = sigmoid(widen(gate[i])), of_a = d * share;
        d_gate[i] = narrow<N>(of_a * (1.f - share) * (widen(a[i]) - widen(b[i])));
        da[i] = narrow<N>(of_a);
        db[i] = narrow<N>(d - of_a);
    }
}

template <typename N>
void run(const Blend<N> &blend, int64_t threads) {
    for_blocks(blend.count, 1, threads, [&](int64_t, int64_t first, int64_t last) {
        blend.dy ? blend_backward(blend, first, last) : blend_forward(blend, first, last);
    });
}

}  // namespace
