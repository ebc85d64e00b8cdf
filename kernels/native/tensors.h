// How tensors are handed over, and how the numbers of a token are read and written.
//
// Letters: B images, T tokens, H heads, K key width, V value width per head; S and N as in numbers.h.

#pragma once

#include "numbers.h"

struct View {  // a tensor [B, T, H, D] of any strides, counted in elements
    void *data;
    int64_t b, t, h, d;
};

struct BiGlaArgs {
    View q, k, v;             // numbers of type N, as o and its gradient, and those of q, k and v
    View decay[2];            // numbers of type S; decay[0] of the walk from the first token on
    View o;                   // written by the forward pass
    View dout;                // the gradient of o, read by the backward pass
    View dq, dk, dv;          // written by the backward pass
    View dg[2];               // likewise, of type S; may be the memory of the decays
    // Contiguous [B, H, K, V] of type S: what stands before the first token of each walk, and what
    // the forward pass leaves after the last one; null for zeros, and for states nobody asks for.
    void *initial[2], *last[2];
    int64_t B, T, H, K, V;
    int64_t threads;          // that compute
    double factor;            // on the output, one half for two directions included
};

struct GateArgs {
    View gate;          // numbers of type N: logits, or logarithms of decays
    void *decay;        // contiguous [B, T, H, K] of type S, or the gradient of its logarithm
    void *out;          // contiguous, of type N: the gradient of the gate; may be that memory
    int64_t B, T, H, K;
    int64_t threads;    // that compute
    double normalizer;  // of logits; 0 for logarithms of decays
};

namespace {

template <typename N>
struct Row {  // the D numbers of one token and head
    N *at;
    int64_t stride;
    N &operator[](int64_t i) const { return at[i * stride]; }
};

template <typename N>
Row<N> row(const View &x, int64_t b, int64_t t, int64_t h) {
    return {static_cast<N *>(x.data) + b * x.b + t * x.t + h * x.h, x.d};
}

constexpr int RUN = 16;  // contiguous numbers, which the compiler turns into few instructions

template <typename S, typename N>
inline __attribute__((always_inline)) void read_row(S *__restrict__ to, Row<N> from, int64_t count) {
    const N *__restrict__ at = from.at;
    int64_t i = 0;
    if (from.stride == 1)
        for (; i + RUN <= count; i += RUN)
            for (int j = 0; j < RUN; j++) to[i + j] = widen(at[i + j]);
    for (; i < count; i++) to[i] = widen(from[i]);
}

// The state [K, V] of one head; null where there are none.
template <typename S>
S *state_of(void *states, const BiGlaArgs &x, int64_t b, int64_t h) {
    return states ? static_cast<S *>(states) + (b * x.H + h) * x.K * x.V : nullptr;
}

// Two walks in turn add up one result. The sum of the first is `kept` in type S until the second
// one, so that the result is rounded once; it is kept in the result where that is of type S.
enum class Turn { ONLY, FIRST, SECOND };

inline Turn first_turn(const BiGlaArgs &x) {
    return x.decay[0].data && x.decay[1].data ? Turn::FIRST : Turn::ONLY;
}

template <typename N, typename S>
void write_row(N *__restrict__ to, const S *__restrict__ from, int64_t count) {
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++) to[i + j] = narrow<N>(from[i + j]);
    for (; i < count; i++) to[i] = narrow<N>(from[i]);
}

template <typename S>
void add_to(S *__restrict__ to, const S *__restrict__ from, int64_t count) {
    int64_t i = 0;
    for (; i + RUN <= count; i += RUN)
        for (int j = 0; j < RUN; j++) to[i + j] += from[i + j];
    for (; i < count; i++) to[i] += from[i];
}

}  // namespace
