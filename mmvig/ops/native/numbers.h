// Numbers in memory and in registers. N is the type of a number in memory, float or BFloat16; all
// sums and formulas are in float.
//
// The headers of this folder are parts of tokens.cpp alone, hence their unnamed namespaces.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

struct BFloat16 {  // the upper half of a float
    uint16_t bits;
};

inline float widen(float x) { return x; }

inline float widen(BFloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, sizeof y);
    return y;
}

template <typename N>
N narrow(float x) {
    if constexpr (std::is_same_v<N, float>) {
        return x;
    } else {  // to nearest, ties to even; not a number stays so
        uint32_t bits;
        std::memcpy(&bits, &x, sizeof bits);
        const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        return {static_cast<uint16_t>(x == x ? rounded : 0x7fc0)};
    }
}

// eˣ = 2ⁿ eʳ with |r| ≤ ln(2)/2, in steps that compilers turn into vectors. Two units in the last
// place; infinite from 88.4 on, and not below the smallest normal number.
inline float exponential(float x) {
    x = x > 89.f ? 89.f : x;
    x = x < -87.f ? -87.f : x;
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
    return p * power;
}

inline float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

}  // namespace
