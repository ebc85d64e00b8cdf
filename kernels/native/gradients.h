// The gradients of queries, keys and gates of one walk.

#pragma once

#include <memory>
#include <new>
#include <vector>

#include "tensors.h"

namespace {

constexpr int CHUNK = 32;  // tokens between two states that the backward pass keeps

// Bytes of a vector register of this processor.
#if defined(__AVX512F__)
constexpr int REGISTER = 64;
#elif defined(__AVX__)
constexpr int REGISTER = 32;
#else
constexpr int REGISTER = 16;
#endif

template <typename S>
struct Simd {
    static constexpr int lanes = REGISTER / sizeof(S);
    typedef S Vector __attribute__((vector_size(REGISTER)));
};

template <typename S>
using Vector = typename Simd<S>::Vector;

template <typename S>
struct Buffer {  // zeroed vectors, aligned to lines
    Vector<S> *at;
    explicit Buffer(int64_t count) : at(new (std::align_val_t(64)) Vector<S>[count]()) {}
    ~Buffer() { operator delete[](at, std::align_val_t(64)); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
};

// States [V, K], with K padded by zeros to vectors, are kept once per chunk and computed again inside
// it. `grad` [V, K] is the gradient of the state after a token, and walks the other way. `kept`
// [T, 2, K] holds the sums of a first walk. FIXED_K is K where the compiler is to know it, or 0.
template <typename S, typename N, int FIXED_K>
class Gradients {
  public:
    Gradients(const BiGlaArgs &x, int64_t b, int64_t h, bool backward, Turn turn, S *kept)
        : x(x), b(b), h(h), backward(backward), turn(turn), kept(kept),
          size(x.V * vectors()),
          chunks((x.T + CHUNK - 1) / CHUNK), entering(chunks * size), inside(CHUNK * size),
          grad(size), token(ROWS * vectors()), values(2 * x.V) {}

    void run() {
        Vector<S> *state = inside.at;  // free until the way back
        for (int64_t i = 0; i < x.T; i++) {
            if (i % CHUNK == 0) copy(entering.at + i / CHUNK * size, state);
            load(token_index(i));
            advance(state, state);
        }
        for (int64_t n = chunks - 1; n >= 0; n--) {
            const int64_t first = n * CHUNK, last = first + CHUNK < x.T ? first + CHUNK : x.T;
            copy(inside.at, entering.at + n * size);
            for (int64_t i = first; i + 1 < last; i++) {
                load(token_index(i));
                advance(inside.at + (i - first + 1) * size, inside.at + (i - first) * size);
            }
            for (int64_t i = last - 1; i >= first; i--) {
                load(token_index(i));
                step_backward(token_index(i), inside.at + (i - first) * size);
            }
        }
    }

  private:
    const BiGlaArgs &x;
    const int64_t b, h;
    const bool backward;
    const Turn turn;
    S *const kept;
    enum { KEY, DECAY, QUERY, DQ, DK, DG, ROWS };  // K numbers each, of one token
    const int64_t size, chunks;
    Buffer<S> entering, inside, grad, token;
    std::vector<S> values;

    int64_t K() const { return FIXED_K ? FIXED_K : x.K; }
    int64_t vectors() const { return (K() + Simd<S>::lanes - 1) / Simd<S>::lanes; }
    int64_t token_index(int64_t i) const { return backward ? x.T - 1 - i : i; }
    Vector<S> *vectors_of(int i) const { return token.at + i * vectors(); }
    S *numbers(int i) const { return reinterpret_cast<S *>(vectors_of(i)); }

    void copy(Vector<S> *to, const Vector<S> *from) const {
        for (int64_t c = 0; c < size; c++) to[c] = from[c];
    }

    void load(int64_t t) {
        read<FIXED_K>(numbers(KEY), row<N>(x.k, b, t, h), K());
        read<FIXED_K>(numbers(DECAY), row<S>(x.decay[backward], b, t, h), K());
        read(values.data(), row<N>(x.v, b, t, h), x.V);
    }

    void advance(Vector<S> *to, const Vector<S> *from) const {
        for (int64_t n = 0; n < vectors(); n++) {
            const Vector<S> k = vectors_of(KEY)[n], a = vectors_of(DECAY)[n];
            for (int64_t j = 0; j < x.V; j++)
                to[j * vectors() + n] = a * from[j * vectors() + n] + k * values[j];
        }
    }

    void step_backward(int64_t t, const Vector<S> *before) {
        S *value = values.data(), *dout = value + x.V;
        read<FIXED_K>(numbers(QUERY), row<N>(x.q, b, t, h), K());
        read(dout, row<N>(x.dout, b, t, h), x.V);
        for (int64_t j = 0; j < x.V; j++) dout[j] *= static_cast<S>(x.factor);
        for (int64_t n = 0; n < vectors(); n++) {
            const Vector<S> k = vectors_of(KEY)[n], a = vectors_of(DECAY)[n];
            const Vector<S> q = vectors_of(QUERY)[n];
            Vector<S> dq = {}, dk = {}, dg = {};
            for (int64_t j = 0; j < x.V; j++) {
                const Vector<S> s = before[j * vectors() + n];
                const Vector<S> d = grad.at[j * vectors() + n] + q * dout[j];
                dq += (a * s + k * value[j]) * dout[j];
                dk += d * value[j];
                dg += d * s;
                grad.at[j * vectors() + n] = d * a;
            }
            vectors_of(DQ)[n] = dq, vectors_of(DK)[n] = dk, vectors_of(DG)[n] = dg * a;
        }
        const int64_t count = count_kept<N, S>(K(), turn);
        S *sums = kept + 2 * t * count;
        write<FIXED_K>(row<N>(x.dq, b, t, h).at, sums, numbers(DQ), K(), turn);
        write<FIXED_K>(row<N>(x.dk, b, t, h).at, sums + count, numbers(DK), K(), turn);
        write<FIXED_K>(row<S>(x.dg[backward], b, t, h).at, sums, numbers(DG), K(), Turn::ONLY);
    }
};

// A task a head and direction. Those of one head add to the same gradients, so the second waits for
// the first: sums have one order, whatever the number of threads.
template <typename S, typename N, int FIXED_K>
void gradients(const BiGlaArgs &x) {
    const int64_t heads = x.B * x.H;
    std::vector<std::unique_ptr<S[]>> memory(heads);
    std::unique_ptr<S[]> *kept = memory.data();
#pragma omp parallel num_threads(x.threads)
#pragma omp single
    {
        Turn turn = x.decay[0].data && x.decay[1].data ? Turn::FIRST : Turn::ONLY;
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            for (int64_t i = 0; i < heads; i++) {
#pragma omp task firstprivate(i, direction, turn) depend(inout : kept[i])
                {
                    if (turn != Turn::SECOND)
                        kept[i].reset(new S[count_kept<N, S>(2 * x.T * x.K, turn)]);
                    S *sums = kept[i].get();
                    Gradients<S, N, FIXED_K>(x, i / x.H, i % x.H, direction, turn, sums).run();
                    if (turn == Turn::SECOND) kept[i].reset();
                }
            }
            turn = Turn::SECOND;
        }
    }
}

}  // namespace
