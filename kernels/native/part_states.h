// The states that the parts of a sequence begin with.

#pragma once

#include "states.h"

namespace {

// What a walk of states reads.
struct Source {
    View keys, values, decays;
    bool backward;  // from the last token on
};

// States of some walks over a sequence of so many parts, each for some values of a head, at most
// `values`. Groups of values are found independently.
template <typename S>
class PartStates {
  public:
    const int64_t groups;

    PartStates(int64_t walks, int64_t parts, int64_t K, int64_t values)
        : groups((values + GROUP - 1) / GROUP), parts(parts),
          vectors(vectors_for<S>(K)), memory(walks * parts * groups * vectors * GROUP) {}

    // A group of the values v0 … v0 + values - 1, from the state [K, V] of `initial` or zeros.
    template <typename N, Decay DECAY>
    void find(const BiGlaArgs &x, const Source &from, int64_t b, int64_t h, int64_t v0,
              int64_t values, const S *initial, int64_t walk, int64_t group) {
        const int64_t first = group * GROUP, count = width(group, values);
        if (count <= 0) return;
        Block<S> keys(x.K), decays(x.K), numbers(count, false);
        Vector<S> *state = at(walk, from.backward ? parts - 1 : 0, group);
        std::fill_n(state, vectors * count, Vector<S>{});
        if (initial) from_tensor(state, initial + v0 + first, x, count);
        for (int64_t i = 0; i + 1 < parts; i++) {
            const int64_t p = from.backward ? parts - 1 - i : i;
            Vector<S> *next = at(walk, from.backward ? p - 1 : p + 1, group);
            std::copy_n(state, vectors * count, next);
            state = next;
            const Span tokens = part(x.T, parts, p);
            for (int64_t n = 0; n < blocks(tokens); n++) {
                const Span now = block(tokens, n, from.backward);
                keys.template read<N>(from.keys, b, h, now, from.backward);
                decays.template read<S>(from.decays, b, h, now, from.backward);
                numbers.template read<N>(from.values, b, h, now, from.backward,
                                         v0 + first);
                advance_all<S, DECAY>(in_order(keys, decays, numbers, now.count, from.backward),
                                      vectors, count, state);
            }
        }
    }

    // The state [vectors, values] that a walk begins a part with.
    void copy(Vector<S> *to, int64_t values, int64_t walk, int64_t part) const {
        for (int64_t g = 0; g * GROUP < values; g++)
            for (int64_t n = 0; n < vectors; n++)
                std::copy_n(at(walk, part, g) + n * width(g, values), width(g, values),
                            to + n * values + g * GROUP);
    }

  private:
    const int64_t parts, vectors;
    Buffer<S> memory;

    static int64_t width(int64_t group, int64_t values) {
        return std::min<int64_t>(GROUP, values - group * GROUP);
    }

    Vector<S> *at(int64_t walk, int64_t part, int64_t group) const {
        return memory.at + ((walk * parts + part) * groups + group) * vectors * GROUP;
    }
};

}  // namespace
