// Bidirectional gated linear attention on a CPU: equations (1) to (3) of README.md token by token,
// with the state of a head in the fastest memory there is. Built by build.py, called by __init__.py.

#include "decays.h"
#include "forward.h"
#include "gradients.h"

namespace {

template <typename S, typename N = S>
void run(const BiGlaArgs &x, bool with_gradients) {
    with_gradients ? backward<S, N>(x) : forward<S, N>(x);
}

}  // namespace

// For callers that declare these themselves.
extern "C" int bi_gla_args_size() { return sizeof(BiGlaArgs); }
extern "C" int gate_args_size() { return sizeof(GateArgs); }

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

// Decays of gates and gradients of gates, by the type of the gates.
#define GATE_FUNCTIONS(NAME, S, N)                                                       \
    extern "C" void decays_##NAME(const GateArgs *x) { decays<S, N>(*x); }               \
    extern "C" void gate_gradients_##NAME(const GateArgs *x) { gate_gradients<S, N>(*x); }

GATE_FUNCTIONS(float32, float, float)
GATE_FUNCTIONS(float64, double, double)
GATE_FUNCTIONS(bfloat16, float, BFloat16)
