// The forward pass.

#pragma once

#include "part_states.h"
#include "walk.h"

namespace {

constexpr int64_t COLUMNS = 16;  // values of one task, where heads cannot be shared evenly

// The values v0 … v0 + numbers - 1 of the outputs of one head.
template <typename S, typename N>
class Forward {
  public:
    Forward(const BiGlaArgs &x, int64_t b, int64_t h, int64_t v0, int64_t numbers)
        : x(x), b(b), h(h), v0(v0), q(x.K), k(x.K), a(x.K), v(numbers), o(numbers),
          state(v.vectors * x.K) {}

    // Both directions of part p of so many. Without states, the part is the whole sequence; else
    // they are those of walk + direction.
    void run(int64_t parts, int64_t p, const PartStates<S> *states, int64_t walk) {
        const Span tokens = part(x.T, parts, p);
        Turn turn = first_turn(x);
        const Sums<S, N> sums(tokens, v.numbers, turn);
        Buffer<S> keys_in_lanes(states ? q.vectors * v.numbers : 0);
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            std::fill_n(state.at, v.vectors * x.K, Vector<S>{});
            if (states) {
                states->copy(keys_in_lanes.at, v.numbers, walk + direction, p);
                transpose<S>(state.at, keys_in_lanes.at, x.K, v.numbers);
            } else if (x.initial[direction]) {
                for_each(x.initial[direction], [](S &number, S &tensor) { number = tensor; });
            }
            run(tokens, direction, turn, sums);
            if (x.last[direction] && p == (direction ? 0 : parts - 1))
                for_each(x.last[direction], [](S &number, S &tensor) { tensor = number; });
            turn = Turn::SECOND;
        }
    }

  private:
    const BiGlaArgs &x;
    const int64_t b, h, v0;
    Block<S> q, k, a, v, o;
    Buffer<S> state;  // [vectors of values, K]

    void run(const Span &tokens, bool backward, Turn turn, const Sums<S, N> &sums) {
        for (int64_t n = 0; n < blocks(tokens); n++) {
            const Span now = block(tokens, n, backward);
            q.template read<N>(x.q, b, h, now, backward);
            k.template read<N>(x.k, b, h, now, backward);
            a.template read<S>(x.decay[backward], b, h, now, backward);
            v.template read<N>(x.v, b, h, now, backward, v0);
            o.clear();
            walk_all<S, Decay::BEFORE>(q, k, a, v, o, now.count, backward, state.at);
            o.multiply(now.count, static_cast<S>(x.factor));
            o.template write<N>(x.o, b, h, now, v0, turn, sums, 0);
        }
    }

    // Calls function(number, tensor) for each number of the state and its place in a tensor.
    template <typename Function>
    void for_each(void *states, Function function) {
        constexpr int64_t lanes = Simd<S>::lanes;
        S *tensor = state_of<S>(states, x, b, h) + v0;
        for (int64_t c = 0; c < x.K; c++)
            for (int64_t j = 0; j < v.numbers; j++)
                function(state.numbers()[(j / lanes * x.K + c) * lanes + j % lanes],
                         tensor[c * x.V + j]);
    }
};

// A task is a head, or some of its values where heads cannot be shared evenly.
template <typename S, typename N>
void forward(const BiGlaArgs &x) {
    const int64_t heads = x.B * x.H, rest = heads % x.threads, whole = heads - rest;
    const int64_t width = std::min(x.V, COLUMNS), columns = (x.V + width - 1) / width;
    // A walk of states has two of the three multiplications.
    const Plan work = plan(rest * columns, x.threads, 2.0 / 3, x.T);
    PartStates<S> states(2 * work.cut, work.parts, x.K, width);
    // Calls function(b, h, v0, values) with some values of the heads left over.
    const auto column = [&](int64_t i, auto function) {
        const int64_t head = whole + i / columns, v0 = i % columns * width;
        function(head / x.H, head % x.H, v0, std::min(width, x.V - v0));
    };
#pragma omp parallel num_threads(x.threads)
    {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < whole; i++)
            Forward<S, N>(x, i / x.H, i % x.H, 0, x.V).run(1, 0, nullptr, 0);
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < work.whole; i++)
            column(i, [&](int64_t b, int64_t h, int64_t v0, int64_t values) {
                Forward<S, N>(x, b, h, v0, values).run(1, 0, nullptr, 0);
            });
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < 2 * work.cut * states.groups; n++) {
            const int64_t walk = n / states.groups, group = n % states.groups;
            const int direction = walk % 2;
            if (!x.decay[direction].data) continue;
            column(work.whole + walk / 2, [&](int64_t b, int64_t h, int64_t v0, int64_t values) {
                const Source from = {x.k, x.v, x.decay[direction], direction == 1};
                const S *initial = state_of<S>(x.initial[direction], x, b, h);
                states.template find<N, Decay::BEFORE>(x, from, b, h, v0, values, initial, walk,
                                                       group);
            });
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < work.cut * work.parts; n++) {
            const int64_t i = n / work.parts, p = n % work.parts;
            column(work.whole + i, [&](int64_t b, int64_t h, int64_t v0, int64_t values) {
                Forward<S, N>(x, b, h, v0, values).run(work.parts, p, &states, 2 * i);
            });
        }
    }
}

}  // namespace
