// Bidirectional gated linear attention on a CPU: equations (1) to (3) of README.md token by token,
// with the state of a head in the fastest memory there is. Built by build.py, called by __init__.py.

#include "gradients.h"
#include "tensors.h"
#include "walk.h"

namespace {

template <typename S, typename N, int FIXED_K>
void run(const BiGlaArgs &x, bool with_gradients) {
    Walk w = {};
    w.factor = x.factor;
    if (!with_gradients) {
        w.q = x.q, w.k = x.k, w.v = x.v, w.o = x.o;
        walk_both<S, N, FIXED_K>(x, w);
        return;
    }
    // dv_t = k_t D_t. The gradient D of S walks the other way, with q as keys and dout as values:
    // D_t = diag(decay_{t±1}) D_{t±1} + q_tᵀ dout_t.
    w.q = x.k, w.k = x.q, w.v = x.dout, w.o = x.dv;
    w.backward = w.decay_lag = true;
    walk_both<S, N, FIXED_K>(x, w);
    gradients<S, N, FIXED_K>(x);
}

template <typename S, typename N = S>
void run(const BiGlaArgs &x, bool with_gradients) {
    x.K == 16   ? run<S, N, 16>(x, with_gradients)
    : x.K == 32 ? run<S, N, 32>(x, with_gradients)
                : run<S, N, 0>(x, with_gradients);
}

}  // namespace

// For callers that declare BiGlaArgs themselves.
extern "C" int bi_gla_args_size() { return sizeof(BiGlaArgs); }

extern "C" void bi_gla_float32(const BiGlaArgs *x, int with_gradients) {
    run<float>(*x, with_gradients);
}

extern "C" void bi_gla_float64(const BiGlaArgs *x, int with_gradients) {
    run<double>(*x, with_gradients);
}

// Tensors in bfloat16; decays, their gradients, states and all sums in float32.
extern "C" void bi_gla_bfloat16(const BiGlaArgs *x, int with_gradients) {
    run<float, BFloat16>(*x, with_gradients);
}
