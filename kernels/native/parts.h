// How the work is divided: heads, and where they are too few for the threads, parts of sequences.

#pragma once

#include <algorithm>
#include <cstdint>

namespace {

struct Span {  // tokens
    int64_t first, count;
};

constexpr int64_t BLOCK = 32;  // tokens that are read at once, and between the states that are kept

inline int64_t blocks(const Span &of) { return (of.count + BLOCK - 1) / BLOCK; }

// The n-th block, or the n-th from the last.
inline Span block(const Span &of, int64_t n, bool from_last) {
    const int64_t start = (from_last ? blocks(of) - 1 - n : n) * BLOCK;
    return {of.first + start, std::min(BLOCK, of.count - start)};
}

// The p-th of so many parts of a sequence of T tokens.
inline Span part(int64_t T, int64_t parts, int64_t p) {
    const int64_t first = T * p / parts;
    return {first, T * (p + 1) / parts - first};
}

// The first `whole` tasks run as they are, each of the others in so many parts.
struct Plan {
    int64_t whole, cut, parts;
};

constexpr int64_t SHORTEST_PART = 128;  // tokens

// Of equal tasks, as many as the threads can share evenly run whole. Those left over, fewer than
// there are threads, are cut if that ends sooner: parts can run at the same time, but the states
// that they begin with must be found first, by walks that cost `price` of a task. A walk does the
// same arithmetic wherever it begins, so that no result depends on the plan.
inline Plan plan(int64_t tasks, int64_t threads, double price, int64_t T) {
    const int64_t rest = tasks % threads;
    Plan best = {tasks, 0, 1};
    if (rest == 0) return best;
    double least = 0.95;  // of the time of a whole task; not for less
    const int64_t most = std::min(4 * threads / rest, T / SHORTEST_PART);
    for (int64_t parts = 2; parts <= most; parts++) {
        const int64_t rounds = (rest * parts + threads - 1) / threads;
        const double walks = price * (parts - 1) * rest / threads;
        const double time = (walks + rounds) / parts;
        if (time < least) least = time, best = {tasks - rest, rest, parts};
    }
    return best;
}

}  // namespace
