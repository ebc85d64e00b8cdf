// Vectors as wide as the registers of this processor.

#pragma once

#include <cstdint>
#include <new>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

// Bytes of a vector register.
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
Vector<S> load(const S *from) {
    typedef S Anywhere __attribute__((vector_size(REGISTER), aligned(sizeof(S))));
    return *reinterpret_cast<const Anywhere *>(from);
}

template <typename S>
constexpr int64_t vectors_for(int64_t count) {
    return (count + Simd<S>::lanes - 1) / Simd<S>::lanes;
}

template <typename S>
Vector<S> splat(S x) {
    return x - Vector<S>{};
}

// x · y + z, rounded once wherever the processor can: a compiler that were free to choose could
// round the same walk differently in two places.
#if defined(__AVX512F__)
inline Vector<float> multiply_add(Vector<float> x, Vector<float> y, Vector<float> z) {
    return _mm512_fmadd_ps(x, y, z);
}
inline Vector<double> multiply_add(Vector<double> x, Vector<double> y, Vector<double> z) {
    return _mm512_fmadd_pd(x, y, z);
}
#elif defined(__FMA__)
inline Vector<float> multiply_add(Vector<float> x, Vector<float> y, Vector<float> z) {
    return _mm256_fmadd_ps(x, y, z);
}
inline Vector<double> multiply_add(Vector<double> x, Vector<double> y, Vector<double> z) {
    return _mm256_fmadd_pd(x, y, z);
}
#else
template <typename V>
V multiply_add(V x, V y, V z) {
#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        z[i] = sizeof x[0] == sizeof(float) ? __builtin_fmaf(x[i], y[i], z[i])
                                            : __builtin_fma(x[i], y[i], z[i]);
    return z;
#else
    return x * y + z;
#endif
}
#endif

// Vectors of any value, aligned to lines.
template <typename S>
class Buffer {
  public:
    explicit Buffer(int64_t count)
        : at(static_cast<Vector<S> *>(
              ::operator new(count * sizeof(Vector<S>), std::align_val_t(64)))) {}
    ~Buffer() { ::operator delete(at, std::align_val_t(64)); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    Vector<S> *const at;
    S *numbers() const { return reinterpret_cast<S *>(at); }
};

}  // namespace
