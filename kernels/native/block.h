// A block of tokens that is read at once, so that walks find it in the fastest memory there is.

#pragma once

#include <algorithm>
#include <memory>

#include "parts.h"
#include "simd.h"
#include "tensors.h"

namespace {

// The sums of a first walk, where its results are of another type than sums.
template <typename S, typename N>
class Sums {
  public:
    static constexpr bool in_result = std::is_same_v<N, S>;

    Sums(const Span &tokens, int64_t width, Turn turn)
        : tokens(tokens), width(in_result || turn == Turn::ONLY ? 0 : width),
          memory(new S[this->width * tokens.count]) {}

    S *row(int64_t token) const { return memory.get() + (token - tokens.first) * width; }

  private:
    const Span tokens;
    const int64_t width;
    const std::unique_ptr<S[]> memory;
};

// Some numbers of each token of a block, in memory of its own or where a tensor has them. What
// is only read number by number needs no `whole_vectors`.
template <typename S>
class Block {
  public:
    const int64_t numbers, vectors;  // of a token

    explicit Block(int64_t numbers, bool whole_vectors = true)
        : numbers(numbers), vectors(vectors_for<S>(numbers)),
          padded(whole_vectors && numbers % Simd<S>::lanes), memory(BLOCK * vectors) {
        clear();
    }

    int64_t step() const { return stride; }  // from token to token
    const S *number(int64_t token, int64_t i = 0) const { return at + token * stride + i; }

    // In the block's own memory, rows padded by zeros to vectors.
    Vector<S> *vector(int64_t token) { return memory.at + token * vectors; }

    void clear() {
        std::fill_n(memory.at, BLOCK * vectors, Vector<S>{});
        own();
    }

    // Numbers from `first` on of each token of a head. Where vectors of them can be read from the
    // tensor they are not copied: a walk that reads as it computes waits less for memory than one
    // that reads at once. Copies ask for the block that comes next, before these tokens if
    // `from_last`; where that is outside of the tensor nothing happens.
    template <typename N>
    void read(const View &x, int64_t b, int64_t h, const Span &tokens, bool from_last,
              int64_t first = 0) {
        if constexpr (std::is_same_v<N, S>) {
            if (x.d == 1 && !padded) {
                at = row<N>(x, b, tokens.first, h).at + first;
                stride = x.t;
                return;
            }
        }
        for (int64_t t = 0; t < tokens.count; t++) {
            Row<N> from = row<N>(x, b, tokens.first + t, h);
            from.at += first * from.stride;
            const N *next = from.at + (from_last ? -BLOCK : BLOCK) * x.t;
            for (int64_t i = 0; i < numbers; i += 64 / sizeof(N)) __builtin_prefetch(next + i);
            read_row(own_number(t), from, numbers);
        }
        own();
    }

    void multiply(int64_t tokens, S factor) {
        for (int64_t i = 0; i < tokens * vectors; i++) memory.at[i] *= splat(factor);
    }

    // To where the numbers of a token are contiguous.
    template <typename N>
    void write(const View &x, int64_t b, int64_t h, const Span &tokens, int64_t first = 0) {
        for (int64_t t = 0; t < tokens.count; t++)
            write_row(row<N>(x, b, tokens.first + t, h).at + first, own_number(t), numbers);
    }

    // Likewise, what two walks in turn add up. `column` is the place in the sums of a token.
    template <typename N>
    void write(const View &x, int64_t b, int64_t h, const Span &tokens, int64_t first, Turn turn,
               const Sums<S, N> &sums, int64_t column) {
        if (turn == Turn::ONLY) return write<N>(x, b, h, tokens, first);
        for (int64_t t = 0; t < tokens.count; t++) {
            N *to = row<N>(x, b, tokens.first + t, h).at + first;
            S *kept;
            if constexpr (Sums<S, N>::in_result) kept = to;
            else kept = sums.row(tokens.first + t) + column;
            if (turn == Turn::FIRST) {
                write_row(kept, own_number(t), numbers);
            } else {
                add_to(own_number(t), kept, numbers);
                write_row(to, own_number(t), numbers);
            }
        }
    }

  private:
    const bool padded;
    Buffer<S> memory;
    const S *at;
    int64_t stride;

    S *own_number(int64_t token) { return memory.numbers() + token * vectors * Simd<S>::lanes; }

    void own() {
        at = memory.numbers();
        stride = vectors * Simd<S>::lanes;
    }
};

}  // namespace
