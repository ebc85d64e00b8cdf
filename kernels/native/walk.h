// The walk with outputs: those of the forward pass, and the gradients of values.

#pragma once

#include "states.h"

namespace {

// Rows of a state that registers hold, with one vector of values in the lanes.
constexpr int ROWS = REGISTER == 64 ? 16 : 8;

// Tokens in the order of a walk: the numbers of the first, and the steps to the next.
template <typename S>
struct Readers {
    Tokens<S> tokens;
    const S *queries;
    int64_t query_step;
    Vector<S> *outputs;  // added to
    int64_t output_step;
};

template <typename S, int R, Decay DECAY>
void walk_rows(const Readers<S> &x, Vector<S> *__restrict__ state) {
    const Tokens<S> &y = x.tokens;
    Vector<S> s[R];
#pragma GCC unroll 16
    for (int c = 0; c < R; c++) s[c] = state[c];
    for (int64_t i = 0; i < y.count; i++) {
        const S *q = x.queries + i * x.query_step;
        const S *k = y.keys + i * y.key_step, *a = y.decays + i * y.decay_step;
        const Vector<S> v = load(y.values + i * y.value_step);
        Vector<S> o = x.outputs[i * x.output_step];
#pragma GCC unroll 16
        for (int c = 0; c < R; c++) {
            if (DECAY == Decay::BEFORE) s[c] *= splat(a[c]);
            s[c] = multiply_add(splat(k[c]), v, s[c]);
            o = multiply_add(splat(q[c]), s[c], o);
            if (DECAY == Decay::AFTER) s[c] *= splat(a[c]);
        }
        x.outputs[i * x.output_step] = o;
    }
#pragma GCC unroll 16
    for (int c = 0; c < R; c++) state[c] = s[c];
}

// Walks all values; `state` is [vectors of values, K].
template <typename S, Decay DECAY>
void walk_all(const Block<S> &queries, const Block<S> &keys, const Block<S> &decays,
              const Block<S> &values, Block<S> &outputs, int64_t count, bool backward,
              Vector<S> *state) {
    const int64_t K = keys.numbers, first = backward ? count - 1 : 0, step = backward ? -1 : 1;
    for (int64_t n = 0; n < values.vectors; n++, state += K) {
        Readers<S> x = {in_order(keys, decays, values, count, backward), queries.number(first),
                        step * queries.step(), outputs.vector(first) + n, step * outputs.vectors};
        x.tokens.values += n * Simd<S>::lanes;
        for (int64_t c = 0; c < K;) {
            const int64_t rows = K - c >= ROWS ? ROWS : K - c >= 8 ? 8 : 1;
            if (rows == ROWS) walk_rows<S, ROWS, DECAY>(x, state + c);
            else if (rows == 8) walk_rows<S, 8, DECAY>(x, state + c);
            else walk_rows<S, 1, DECAY>(x, state + c);
            c += rows, x.queries += rows, x.tokens.keys += rows, x.tokens.decays += rows;
        }
    }
}

}  // namespace
