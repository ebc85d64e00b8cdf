// From gates to decays, and the gradients of gates from those of the logarithms of decays.

#pragma once

#include <algorithm>
#include <vector>

#include "tensors.h"

namespace {

constexpr int64_t GATE_TOKENS = 32;  // that a thread takes at once

// Calls function(offset, gates, count) for runs of gates, copied one after the other.
template <typename S, typename N, typename Function>
void for_gates(const GateArgs &x, const Function &function) {
    const int64_t tokens = x.B * x.T, width = x.H * x.K;
    const int64_t blocks = (tokens + GATE_TOKENS - 1) / GATE_TOKENS;
    const int64_t used = std::min(x.threads, blocks);
#pragma omp parallel num_threads(used) if (used > 1)
    {
        std::vector<S> gates(GATE_TOKENS * width);
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t first = block * GATE_TOKENS;
            const int64_t last = std::min(tokens, first + GATE_TOKENS);
            S *to = gates.data();
            for (int64_t n = first; n < last; n++)
                for (int64_t h = 0; h < x.H; h++, to += x.K)
                    read_row(to, row<N>(x.gate, n / x.T, n % x.T, h), x.K);
            function(first * width, gates.data(), (last - first) * width);
        }
    }
}

template <typename S>
void decay_logits(S *__restrict__ to, const S *__restrict__ logits, int64_t count, S normalizer) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = exponential(log_sigmoid(logits[i]) / normalizer);
}

template <typename S>
void decay_gates(S *__restrict__ to, const S *__restrict__ gates, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = exponential(gates[i]);
}

template <typename S, typename N>
void decays(const GateArgs &x) {
    const S normalizer = static_cast<S>(x.normalizer);
    for_gates<S, N>(x, [&](int64_t offset, const S *gates, int64_t count) {
        S *to = static_cast<S *>(x.decay) + offset;
        x.normalizer ? decay_logits(to, gates, count, normalizer) : decay_gates(to, gates, count);
    });
}

// Of logits.
template <typename S, typename N>
void gate_gradients(const GateArgs &x) {
    const S normalizer = static_cast<S>(x.normalizer);
    for_gates<S, N>(x, [&](int64_t offset, const S *__restrict__ logits, int64_t count) {
        const S *grad = static_cast<const S *>(x.decay) + offset;
        N *to = static_cast<N *>(x.out) + offset;
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            to[i] = narrow<N>(grad[i] * (sigmoid(-logits[i]) / normalizer));
    });
}

}  // namespace
