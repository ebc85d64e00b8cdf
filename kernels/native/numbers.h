// Numbers in memory and in registers, and functions of one number. N is the type of a number in memory,
// S the one that sums and formulas are in: N itself, or float for BFloat16.
//
// The headers of this folder are parts of bi_gla.cpp, and this one of mmvig/ops/native/tokens.cpp too:
// each is one library by itself, hence their unnamed namespaces.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

struct BFloat16 {  // the upper half of a float
    uint16_t bits;
};

template <typename S>
S widen(S x) {
    return x;
}

inline float widen(BFloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, sizeof y);
    return y;
}

template <typename N, typename S>
N narrow(S x) {
    if constexpr (std::is_same_v<N, S>) {
        return x;
    } else {  // to nearest, ties to even; not a number stays so
        uint32_t bits;
        std::memcpy(&bits, &x, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        return {static_cast<uint16_t>(x == x ? rounded : 0x7fc0)};
    }
}

// eˣ = 2ⁿ eʳ with |r| ≤ ln(2)/2, in steps that compilers turn into vectors. Two units in the last
// place; infinite from 88.4 on, and zero where it is below the smallest normal number.
inline float exponential(float x) {
    const bool is_nothing = x < -87.33f;
    x = x > 89.f ? 89.f : x;
    x = x < -88.f ? -88.f : x;
    const float magic = 12582912.f;  // 1.5 · 2²³: its last digits count ones
    const float shifted = x * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;  // Cephes' minimax polynomial
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;  // of 2ⁿ, or of infinity
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return is_nothing ? 0.f : p * power;
}

inline double exponential(double x) { return std::exp(x); }

// ln(1 + x) of x from 0 to 1, to a few units in the last place: with s = x / (2 + x) it is
// 2 atanh(s) = 2s (1 + s²/3 + s⁴/5 + …), where the first term left out is below 2e-8.
inline float log_one_plus(float x) {
    const float s = x / (2.f + x), z = s * s;
    float p = 1.f / 13.f;
    p = p * z + 1.f / 11.f;
    p = p * z + 1.f / 9.f;
    p = p * z + 1.f / 7.f;
    p = p * z + 1.f / 5.f;
    p = p * z + 1.f / 3.f;
    return 2.f * s + 2.f * s * z * p;
}

inline double log_one_plus(double x) { return std::log1p(x); }

template <typename S>
S sigmoid(S x) {
    return S(1) / (S(1) + exponential(-x));
}

// ln sigmoid(x), without a loss of digits on either side.
template <typename S>
S log_sigmoid(S x) {
    const S least = x < S(0) ? x : S(0), size = x < S(0) ? -x : x;
    return least - log_one_plus(exponential(-size));
}

}  // namespace
