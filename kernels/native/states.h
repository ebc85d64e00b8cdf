// The walk of states alone: over keys, values and decays, without outputs.

#pragma once

#include <type_traits>

#include "block.h"

namespace {

constexpr int GROUP = 8;  // values whose states registers hold, beside what a token brings

// When a walk decays its state: before it adds a token, as in S_t = diag(a_t) S_{t-1} + k_tᵀ v_t,
// or after, which makes of X_t, the gradient of S_t, what that of S_{t-1} begins with.
enum class Decay { BEFORE, AFTER };

// Tokens in the order of a walk: the numbers of the first, and the steps to the next.
template <typename S>
struct Tokens {
    const S *keys, *decays, *values;
    int64_t key_step, decay_step, value_step, count;
};

template <typename S>
Tokens<S> in_order(const Block<S> &keys, const Block<S> &decays, const Block<S> &values,
                   int64_t count, bool backward) {
    const int64_t first = backward ? count - 1 : 0, step = backward ? -1 : 1;
    return {keys.number(first), decays.number(first), values.number(first),
            step * keys.step(), step * decays.step(), step * values.step(), count};
}

// Walks J values and one vector of keys. With KEEP, the state after each token goes to `kept`
// [tokens, J].
template <typename S, int J, Decay DECAY, bool KEEP = false>
void advance(const Tokens<S> &x, Vector<S> *__restrict__ state,
             Vector<S> *__restrict__ kept = nullptr) {
    Vector<S> s[J];
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) s[j] = state[j];
    for (int64_t i = 0; i < x.count; i++) {
        const Vector<S> k = load(x.keys + i * x.key_step), a = load(x.decays + i * x.decay_step);
        const S *v = x.values + i * x.value_step;
#pragma GCC unroll 8
        for (int j = 0; j < J; j++) {
            if (DECAY == Decay::BEFORE) s[j] *= a;
            s[j] = multiply_add(k, splat(v[j]), s[j]);
            if (DECAY == Decay::AFTER) s[j] *= a;
            if (KEEP) kept[i * J + j] = s[j];
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) state[j] = s[j];
}

// Calls function(J, j) for groups of J values from j on, J a constant.
template <typename Function>
void for_groups(int64_t values, Function function) {
    int64_t j = 0;
    for (; j + GROUP <= values; j += GROUP) function(std::integral_constant<int, GROUP>(), j);
    for (; j < values; j++) function(std::integral_constant<int, 1>(), j);
}

// Walks so many vectors of keys and so many values; `state` is [vectors, values].
template <typename S, Decay DECAY>
void advance_all(const Tokens<S> &x, int64_t vectors, int64_t values, Vector<S> *state) {
    for (int64_t n = 0; n < vectors; n++)
        for_groups(values, [&](auto J, int64_t j) {
            Tokens<S> group = x;
            group.keys += n * Simd<S>::lanes, group.decays += n * Simd<S>::lanes;
            group.values += j;
            advance<S, J, DECAY>(group, state + n * values + j);
        });
}

// States of one direction of one head, or of some of its values: [vectors, values], keys in the
// lanes, those without a key zeros.
template <typename S>
void from_tensor(Vector<S> *state, const S *tensor, const BiGlaArgs &x, int64_t values) {
    constexpr int64_t lanes = Simd<S>::lanes;
    for (int64_t n = 0; n < vectors_for<S>(x.K); n++)
        for (int64_t j = 0; j < values; j++)
            for (int64_t c = 0; c < lanes; c++)
                state[n * values + j][c] =
                    n * lanes + c < x.K ? tensor[(n * lanes + c) * x.V + j] : S(0);
}

// The other layout of states: [vectors of values, K], values in the lanes.
template <typename S>
void transpose(Vector<S> *to, const Vector<S> *state, int64_t K, int64_t values) {
    constexpr int64_t lanes = Simd<S>::lanes;
    for (int64_t j = 0; j < values; j++)
        for (int64_t c = 0; c < K; c++)
            to[j / lanes * K + c][j % lanes] = state[c / lanes * values + j][c % lanes];
}

}  // namespace
