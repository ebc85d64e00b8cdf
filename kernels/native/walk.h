// One walk over the tokens, which gives the output and the gradient of the values.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "tensors.h"

namespace {

constexpr int TILE = 16;  // values of one task: 16 × 16 floats of state fill AVX-512

// What a walk over the tokens reads and writes: o_t = factor · q_t S_t with
// S_t = diag(decay_t) S_{t∓1} + k_tᵀ v_t.
struct Walk {
    View q, k, decay, v, o;
    double factor;
    bool backward;   // from the last token on
    bool decay_lag;  // the decay is that of the token before: diag(decay_{t∓1})
    Turn turn;
    void *initial, *last;  // states as in BiGlaArgs
};

// Where the columns from v0 on of the state of a head begin.
template <typename S>
S *columns(void *states, const BiGlaArgs &x, int64_t b, int64_t h, int64_t v0) {
    return static_cast<S *>(states) + (b * x.H + h) * x.K * x.V + v0;
}

// One walk for TILE values from v0 on; `kept` [T, TILE] holds the sums of a first walk. FIXED_K is K
// where the compiler is to know it, or 0.
template <typename S, typename N, int FIXED_K>
void walk(const Walk &w, const BiGlaArgs &x, int64_t b, int64_t h, int64_t v0, S *kept) {
    const int64_t K = FIXED_K ? FIXED_K : x.K;
    const int64_t width = x.V - v0 < TILE ? x.V - v0 : TILE;
    const S factor = static_cast<S>(w.factor);
    std::vector<S> memory(K * (TILE + 3), S(0));
    S *__restrict__ state = memory.data();
    S *__restrict__ q = state + K * TILE, *__restrict__ k = q + K, *__restrict__ a = k + K;
    S v[TILE] = {}, o[TILE];
    if (w.initial) {
        const S *from = columns<S>(w.initial, x, b, h, v0);
        for (int64_t c = 0; c < K; c++) std::copy_n(from + c * x.V, width, state + c * TILE);
    }
    for (int64_t i = 0; i < x.T; i++) {
        const int64_t t = w.backward ? x.T - 1 - i : i;
        const int64_t before = i ? t + (w.backward ? 1 : -1) : t;
        read<FIXED_K>(q, row<N>(w.q, b, t, h), K);
        read<FIXED_K>(k, row<N>(w.k, b, t, h), K);
        read<FIXED_K>(a, row<S>(w.decay, b, w.decay_lag ? before : t, h), K);
        Row<N> from = row<N>(w.v, b, t, h);
        from.at += v0 * from.stride;
        width == TILE ? read<TILE>(v, from, TILE) : read(v, from, width);
        for (int j = 0; j < TILE; j++) o[j] = 0;
        for (int64_t c = 0; c < K; c++) {
            S *__restrict__ s = state + c * TILE;
#pragma omp simd
            for (int j = 0; j < TILE; j++) {
                s[j] = a[c] * s[j] + k[c] * v[j];
                o[j] += q[c] * s[j];
            }
        }
        for (int j = 0; j < TILE; j++) o[j] *= factor;
        N *to = row<N>(w.o, b, t, h).at + v0;  // outputs are contiguous
        S *sums = kept + t * count_kept<N, S>(TILE, w.turn);
        width == TILE ? write<TILE>(to, sums, o, TILE, w.turn) : write(to, sums, o, width, w.turn);
    }
    if (w.last) {
        S *to = columns<S>(w.last, x, b, h, v0);
        for (int64_t c = 0; c < K; c++) std::copy_n(state + c * TILE, width, to + c * x.V);
    }
}

// Both directions of a walk, a task an image, head and tile of values.
template <typename S, typename N, int FIXED_K>
void walk_both(const BiGlaArgs &x, const Walk &first) {
    const int64_t tiles = (x.V + TILE - 1) / TILE, tasks = x.B * x.H * tiles;
    const bool both = x.decay[0].data && x.decay[1].data;
#pragma omp parallel for schedule(dynamic, 1) num_threads(x.threads)
    for (int64_t i = 0; i < tasks; i++) {
        Walk w = first;
        w.turn = both ? Turn::FIRST : Turn::ONLY;
        const std::unique_ptr<S[]> kept(new S[count_kept<N, S>(x.T * TILE, w.turn)]);
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            w.decay = x.decay[direction];
            w.backward = direction != first.backward;
            w.initial = x.initial[direction];
            w.last = x.last[direction];
            const int64_t b = i / (x.H * tiles), h = i / tiles % x.H;
            walk<S, N, FIXED_K>(w, x, b, h, i % tiles * TILE, kept.get());
            w.turn = Turn::SECOND;
        }
    }
}

}  // namespace
