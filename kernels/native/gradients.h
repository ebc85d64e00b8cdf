// The backward pass.

#pragma once

#include "part_states.h"
#include "walk.h"

namespace {

// The gradients of one head at some tokens. X_t is the gradient of the state S_t.
template <typename S, typename N>
class Gradients {
  public:
    Gradients(const BiGlaArgs &x, int64_t b, int64_t h, const Span &tokens)
        : x(x), b(b), h(h), tokens(tokens), sums(tokens, 2 * x.K + x.V, first_turn(x)), q(x.K),
          k(x.K), a(x.K), v(x.V), dout(x.V), dq(x.K), dk(x.K), dg(x.K), dv(x.V),
          size(q.vectors * x.V), entering(blocks(tokens) * size), inside((BLOCK + 1) * GROUP),
          state(size), behind(size), behind_rows(v.vectors * x.K) {}

    // Both directions. Without states, the tokens are the whole sequence; else they are part p,
    // and the states of walk + 2 · direction those that it begins with, the next ones its X.
    void run(const PartStates<S> *states, int64_t walk, int64_t p) {
        Turn turn = first_turn(x);
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            std::fill_n(state.at, size, Vector<S>{});
            std::fill_n(behind.at, size, Vector<S>{});
            if (states) {
                states->copy(state.at, x.V, walk + 2 * direction, p);
                states->copy(behind.at, x.V, walk + 2 * direction + 1, p);
            }
            run(direction, turn);
            turn = Turn::SECOND;
        }
    }

  private:
    static constexpr int64_t lanes = Simd<S>::lanes;

    const BiGlaArgs &x;
    const int64_t b, h;
    const Span tokens;
    const Sums<S, N> sums;  // of dq, dk and dv
    Block<S> q, k, a, v, dout, dq, dk, dg, dv;
    const int64_t size;  // of a state in vectors
    // Before each block; after each token of a block, for some values.
    Buffer<S> entering, inside;
    // S before, and X behind a block: [vectors of keys, V]. X once more: [vectors of values, K].
    Buffer<S> state, behind, behind_rows;

    // States are kept once a block, and computed again inside it.
    void run(bool backward, Turn turn) {
        const int64_t count = blocks(tokens);
        for (int64_t n = 0; n < count; n++) {
            std::copy_n(state.at, size, entering.at + n * size);
            if (n + 1 == count) break;
            const Span now = block(tokens, n, backward);
            read_keys(now, backward, backward);
            advance_all<S, Decay::BEFORE>(in_order(k, a, v, now.count, backward), k.vectors, x.V,
                                          state.at);
        }
        std::fill_n(behind_rows.at, v.vectors * x.K, Vector<S>{});
        transpose<S>(behind_rows.at, behind.at, x.K, x.V);
        for (int64_t n = count - 1; n >= 0; n--)
            walk_back(block(tokens, n, backward), backward, turn, entering.at + n * size);
    }

    void read_keys(const Span &now, bool backward, bool from_last) {
        k.template read<N>(x.k, b, h, now, from_last);
        a.template read<S>(x.decay[backward], b, h, now, from_last);
        v.template read<N>(x.v, b, h, now, from_last);
    }

    void walk_back(const Span &now, bool backward, Turn turn, Vector<S> *before) {
        read_keys(now, backward, !backward);
        q.template read<N>(x.q, b, h, now, !backward);
        dout.template read<N>(x.dout, b, h, now, !backward);
        for (Block<S> *result : {&dq, &dk, &dg, &dv}) result->clear();
        // dv_t = k_t X_t: the walk of outputs, the other way, with keys for queries.
        walk_all<S, Decay::AFTER>(k, q, a, dout, dv, now.count, !backward, behind_rows.at);
        for (int64_t n = 0; n < k.vectors; n++)
            for_groups(x.V, [&](auto J, int64_t j) {
                Tokens<S> group = in_order(k, a, v, now.count, backward);
                group.keys += n * lanes, group.decays += n * lanes, group.values += j;
                Vector<S> *s = before + n * x.V + j;
                std::copy_n(s, J, inside.at);
                advance<S, J, Decay::BEFORE, true>(group, s, inside.at + J);
                add<J>(now.count, backward, n, j);
            });
        for (int64_t t = 0; t < now.count; t++)
            for (int64_t n = 0; n < a.vectors; n++)
                dg.vector(t)[n] *= load(a.number(t, n * lanes));
        for (Block<S> *result : {&dq, &dk, &dg, &dv})
            result->multiply(now.count, static_cast<S>(x.factor));
        dq.template write<N>(x.dq, b, h, now, 0, turn, sums, 0);
        dk.template write<N>(x.dk, b, h, now, 0, turn, sums, x.K);
        dv.template write<N>(x.dv, b, h, now, 0, turn, sums, 2 * x.K);
        dg.template write<S>(x.dg[backward], b, h, now);
    }

    // What the values j … j + J - 1 add to vector n of dq, dk and dg, from the last token of the
    // walk to the first: dq_t = do_t S_tᵀ, dk_t = v_t X_tᵀ, dg_t = a_t ⊙ Σ S_{t-1} ⊙ X_t, the last
    // without a_t, and all without the factor on outputs.
    template <int J>
    void add(int64_t count, bool backward, int64_t n, int64_t j) {
        Vector<S> *from = behind.at + n * x.V + j;
        Vector<S> d[J];
#pragma GCC unroll 8
        for (int m = 0; m < J; m++) d[m] = from[m];
        for (int64_t i = count - 1; i >= 0; i--) {
            const int64_t t = backward ? count - 1 - i : i;
            const Vector<S> query = load(q.number(t, n * lanes));
            const Vector<S> decay = load(a.number(t, n * lanes));
            const S *value = v.number(t, j), *out = dout.number(t, j);
            const Vector<S> *s_before = inside.at + i * J, *s = s_before + J;
            Vector<S> dq_t = dq.vector(t)[n], dk_t = dk.vector(t)[n], dg_t = dg.vector(t)[n];
#pragma GCC unroll 8
            for (int m = 0; m < J; m++) {
                d[m] = multiply_add(query, splat(out[m]), d[m]);
                dq_t = multiply_add(s[m], splat(out[m]), dq_t);
                dk_t = multiply_add(d[m], splat(value[m]), dk_t);
                dg_t = multiply_add(d[m], s_before[m], dg_t);
                d[m] *= decay;
            }
            dq.vector(t)[n] = dq_t, dk.vector(t)[n] = dk_t, dg.vector(t)[n] = dg_t;
        }
#pragma GCC unroll 8
        for (int m = 0; m < J; m++) from[m] = d[m];
    }
};

// A task is a head.
template <typename S, typename N>
void backward(const BiGlaArgs &x) {
    // Four of twelve multiplications: those of the states and of their gradients.
    const Plan work = plan(x.B * x.H, x.threads, 1.0 / 3, x.T);
    PartStates<S> states(4 * work.cut, work.parts, x.K, x.V);
#pragma omp parallel num_threads(x.threads)
    {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < work.whole; i++)
            Gradients<S, N>(x, i / x.H, i % x.H, {0, x.T}).run(nullptr, 0, 0);
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < 4 * work.cut * states.groups; n++) {
            const int64_t walk = n / states.groups, group = n % states.groups;
            const int64_t i = work.whole + walk / 4, b = i / x.H, h = i % x.H;
            const int direction = walk / 2 % 2;
            const View &decay = x.decay[direction];
            if (!decay.data) continue;
            if (walk % 2 == 0) {
                const Source from = {x.k, x.v, decay, direction == 1};
                states.template find<N, Decay::BEFORE>(x, from, b, h, 0, x.V, nullptr, walk, group);
            } else {
                const Source from = {x.q, x.dout, decay, direction == 0};
                states.template find<N, Decay::AFTER>(x, from, b, h, 0, x.V, nullptr, walk, group);
            }
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < work.cut * work.parts; n++) {
            const int64_t i = work.whole + n / work.parts, p = n % work.parts;
            const Span tokens = part(x.T, work.parts, p);
            Gradients<S, N>(x, i / x.H, i % x.H, tokens).run(&states, n / work.parts * 4, p);
        }
    }
}

}  // namespace
