// Bidirectional gated linear attention on a CPU: equations (1) to (3) of README.md token by token,
// with the state of a head in the fastest memory there is. Built by build.py, called by __init__.py.
//
// Letters: B images, T tokens, H heads, K key width, V value width per head. The decays are exp of
// the gates; a direction whose decays are missing does not run.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

namespace {

struct View {  // a tensor [B, T, H, D] of any strides, counted in elements
    void *data;
    int64_t b, t, h, d;
};

}  // namespace

struct BiGlaArgs {
    View q, k, v, decay[2];   // decay[0] of the walk from the first token on
    View o;                   // written by the forward pass
    View dout;                // the gradient of o, read by the backward pass
    View dq, dk, dv, dg[2];   // written by the backward pass
    // Contiguous [B, H, K, V]: what stands before the first token of each walk, and what the forward
    // pass leaves after the last one; null for zeros, and for states that nobody asks for.
    void *initial[2], *last[2];
    int64_t B, T, H, K, V;
    int64_t threads;          // that compute
    double factor;            // on the output, one half for two directions included
};

namespace {

constexpr int TILE = 16;   // values of one forward task: 16 × 16 floats of state fill AVX-512
constexpr int CHUNK = 32;  // tokens between two states that the backward pass keeps

template <typename S>
struct Row {  // the D numbers of one token and head
    S *at;
    int64_t stride;
    S &operator[](int64_t i) const { return at[i * stride]; }
};

template <typename S>
Row<S> row(const View &x, int64_t b, int64_t t, int64_t h) {
    return {static_cast<S *>(x.data) + b * x.b + t * x.t + h * x.h, x.d};
}

// FIXED is the count where the compiler is to know it, or 0.
template <typename S, int FIXED = 0>
void read(S *__restrict__ to, Row<S> from, int64_t count) {
    const int64_t n = FIXED ? FIXED : count;
    if (from.stride == 1) {
        std::memcpy(to, from.at, n * sizeof(S));
    } else {
        for (int64_t i = 0; i < n; i++) to[i] = from[i];
    }
}

// Outputs are contiguous.
template <typename S, int FIXED = 0>
void write(S *__restrict__ to, const S *__restrict__ from, int64_t count, bool add) {
    const int64_t n = FIXED ? FIXED : count;
    if (add) {
        for (int64_t i = 0; i < n; i++) to[i] += from[i];
    } else {
        std::memcpy(to, from, n * sizeof(S));
    }
}

// What a walk over the tokens reads and writes: o_t = factor · q_t S_t with
// S_t = diag(decay_t) S_{t∓1} + k_tᵀ v_t.
struct Walk {
    View q, k, decay, v, o;
    double factor;
    bool backward;   // from the last token on
    bool decay_lag;  // the decay is that of the token before: diag(decay_{t∓1})
    bool add;        // to what an earlier walk wrote
    void *initial, *last;  // states as in BiGlaArgs
};

// Where the columns from v0 on of the state of a head begin.
template <typename S>
S *columns(void *states, const BiGlaArgs &x, int64_t b, int64_t h, int64_t v0) {
    return static_cast<S *>(states) + (b * x.H + h) * x.K * x.V + v0;
}

// One walk for TILE values from v0 on. FIXED_K is K where the compiler is to know it, or 0.
template <typename S, int FIXED_K>
void walk(const Walk &w, const BiGlaArgs &x, int64_t b, int64_t h, int64_t v0) {
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
        read<S, FIXED_K>(q, row<S>(w.q, b, t, h), K);
        read<S, FIXED_K>(k, row<S>(w.k, b, t, h), K);
        read<S, FIXED_K>(a, row<S>(w.decay, b, w.decay_lag ? before : t, h), K);
        Row<S> from = row<S>(w.v, b, t, h);
        from.at += v0 * from.stride;
        width == TILE ? read<S, TILE>(v, from, TILE) : read(v, from, width);
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
        S *to = row<S>(w.o, b, t, h).at + v0;
        width == TILE ? write<S, TILE>(to, o, TILE, w.add) : write(to, o, width, w.add);
    }
    if (w.last) {
        S *to = columns<S>(w.last, x, b, h, v0);
        for (int64_t c = 0; c < K; c++) std::copy_n(state + c * TILE, width, to + c * x.V);
    }
}

// Both directions of a walk, a task an image, head and tile of values.
template <typename S, int FIXED_K>
void walk_both(const BiGlaArgs &x, const Walk &first) {
    const int64_t tiles = (x.V + TILE - 1) / TILE, tasks = x.B * x.H * tiles;
#pragma omp parallel for schedule(dynamic, 1) num_threads(x.threads)
    for (int64_t i = 0; i < tasks; i++) {
        Walk w = first;
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            w.decay = x.decay[direction];
            w.backward = direction != first.backward;
            w.initial = x.initial[direction];
            w.last = x.last[direction];
            walk<S, FIXED_K>(w, x, i / (x.H * tiles), i / tiles % x.H, i % tiles * TILE);
            w.add = true;
        }
    }
}

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

// Gradients of q, k and the gates of one walk. States [V, K], with K padded by zeros to N vectors,
// are kept once per chunk and computed again inside it. `grad` [V, K] is the gradient of the state
// after a token, and walks the other way. FIXED_K is K where the compiler is to know it, or 0.
template <typename S, int FIXED_K>
class Gradients {
  public:
    Gradients(const BiGlaArgs &x, int64_t b, int64_t h, bool backward, bool add)
        : x(x), b(b), h(h), backward(backward), add(add),
          size(x.V * N()),
          chunks((x.T + CHUNK - 1) / CHUNK), kept(chunks * size), inside(CHUNK * size),
          grad(size), token(ROWS * N()), values(2 * x.V) {}

    void run() {
        Vector<S> *state = inside.at;  // free until the way back
        for (int64_t i = 0; i < x.T; i++) {
            if (i % CHUNK == 0) copy(kept.at + i / CHUNK * size, state);
            load(token_index(i));
            advance(state, state);
        }
        for (int64_t n = chunks - 1; n >= 0; n--) {
            const int64_t first = n * CHUNK, last = first + CHUNK < x.T ? first + CHUNK : x.T;
            copy(inside.at, kept.at + n * size);
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
    const bool backward, add;
    enum { KEY, DECAY, QUERY, DQ, DK, DG, ROWS };  // K numbers each, of one token
    const int64_t size, chunks;
    Buffer<S> kept, inside, grad, token;
    std::vector<S> values;

    int64_t K() const { return FIXED_K ? FIXED_K : x.K; }
    int64_t N() const { return (K() + Simd<S>::lanes - 1) / Simd<S>::lanes; }
    int64_t token_index(int64_t i) const { return backward ? x.T - 1 - i : i; }
    Vector<S> *vectors(int i) const { return token.at + i * N(); }
    S *numbers(int i) const { return reinterpret_cast<S *>(vectors(i)); }

    void copy(Vector<S> *to, const Vector<S> *from) const {
        for (int64_t c = 0; c < size; c++) to[c] = from[c];
    }

    void load(int64_t t) {
        read<S, FIXED_K>(numbers(KEY), row<S>(x.k, b, t, h), K());
        read<S, FIXED_K>(numbers(DECAY), row<S>(x.decay[backward], b, t, h), K());
        read(values.data(), row<S>(x.v, b, t, h), x.V);
    }

    void advance(Vector<S> *to, const Vector<S> *from) const {
        for (int64_t n = 0; n < N(); n++) {
            const Vector<S> k = vectors(KEY)[n], a = vectors(DECAY)[n];
            for (int64_t j = 0; j < x.V; j++)
                to[j * N() + n] = a * from[j * N() + n] + k * values[j];
        }
    }

    void step_backward(int64_t t, const Vector<S> *before) {
        S *value = values.data(), *dout = value + x.V;
        read<S, FIXED_K>(numbers(QUERY), row<S>(x.q, b, t, h), K());
        read(dout, row<S>(x.dout, b, t, h), x.V);
        for (int64_t j = 0; j < x.V; j++) dout[j] *= static_cast<S>(x.factor);
        for (int64_t n = 0; n < N(); n++) {
            const Vector<S> k = vectors(KEY)[n], a = vectors(DECAY)[n], q = vectors(QUERY)[n];
            Vector<S> dq = {}, dk = {}, dg = {};
            for (int64_t j = 0; j < x.V; j++) {
                const Vector<S> s = before[j * N() + n];
                const Vector<S> d = grad.at[j * N() + n] + q * dout[j];
                dq += (a * s + k * value[j]) * dout[j];
                dk += d * value[j];
                dg += d * s;
                grad.at[j * N() + n] = d * a;
            }
            vectors(DQ)[n] = dq, vectors(DK)[n] = dk, vectors(DG)[n] = dg * a;
        }
        write<S, FIXED_K>(row<S>(x.dq, b, t, h).at, numbers(DQ), K(), add);
        write<S, FIXED_K>(row<S>(x.dk, b, t, h).at, numbers(DK), K(), add);
        write<S, FIXED_K>(row<S>(x.dg[backward], b, t, h).at, numbers(DG), K(), false);
    }
};

// A task a head and direction. Those of one head add to the same gradients, so the second waits for
// the first: sums have one order, whatever the number of threads.
template <typename S, int FIXED_K>
void gradients(const BiGlaArgs &x) {
    std::vector<char> done(x.B * x.H);
    char *order = done.data();
#pragma omp parallel num_threads(x.threads)
#pragma omp single
    {
        bool add = false;
        for (int direction = 0; direction < 2; direction++) {
            if (!x.decay[direction].data) continue;
            for (int64_t i = 0; i < x.B * x.H; i++) {
#pragma omp task firstprivate(i, direction, add) depend(inout : order[i])
                Gradients<S, FIXED_K>(x, i / x.H, i % x.H, direction, add).run();
            }
            add = true;
        }
    }
}

template <typename S, int FIXED_K>
void run(const BiGlaArgs &x, bool with_gradients) {
    if (!with_gradients) {
        walk_both<S, FIXED_K>(x, {x.q, x.k, {}, x.v, x.o, x.factor, false, false, false, {}, {}});
        return;
    }
    // dv_t = k_t D_t. The gradient D of S walks the other way, with q as keys and dout as values:
    // D_t = diag(decay_{t±1}) D_{t±1} + q_tᵀ dout_t.
    walk_both<S, FIXED_K>(x, {x.k, x.q, {}, x.dout, x.dv, x.factor, true, true, false, {}, {}});
    gradients<S, FIXED_K>(x);
}

template <typename S>
void run(const BiGlaArgs &x, bool with_gradients) {
    x.K == 16   ? run<S, 16>(x, with_gradients)
    : x.K == 32 ? run<S, 32>(x, with_gradients)
                : run<S, 0>(x, with_gradients);
}

}  // namespace

// For callers that declare BiGlaArgs themselves.
extern "C" int bi_gla_args_size() { return sizeof(BiGlaArgs); }

extern "C" void bi_gla_float32(const BiGlaArgs *x, int with_gradients) {
    run<float>(*x, with_gradients);
}

extern "C" void bi_gla_float64(const BiGlaArgs *x, int with_gradients) {
    run<double>(*x, with_gradients);
}
