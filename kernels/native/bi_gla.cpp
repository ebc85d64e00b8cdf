// Bidirectional gated linear attention on a CPU: equations (1) to (3) of README.md token by token,
// with the state of a head in the fastest memory there is. Built by build.py, called by __init__.py.

#include "forward.h"
#include "gradients.h"

namespace {

template <typename S, typename N = S>
void run(const BiGlaArgs &x, bool with_gradients) {
    with_gradients ? backward<S, N>(x) : forward<S, N>(x);
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
