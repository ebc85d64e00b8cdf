// RMSNorm of rows, forward and backward in one pass over memory.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "blocks.h"
#include "../../kernels/native/numbers.h"

namespace {

constexpr int64_t FEW_ROWS = 32;

// y = x / √(mean(x²) + eps) ⊙ weight.
template <typename N>
struct Norm {
    const N *x, *dy;
    const float *weight;
    N *y;
    float *d_weight;
    int64_t rows, width;
    float eps;
};

// FIXED is the width where the compiler is to know it, or 0.
template <typename N, int FIXED>
void norm_forward(const Norm<N> &norm, int64_t first, int64_t last) {
    const int64_t width = FIXED ? FIXED : norm.width;
    const float *__restrict__ weight = norm.weight;
    for (int64_t row = first; row < last; row++) {
        const N *__restrict__ x = norm.x + row * width;
        N *__restrict__ y = norm.y + row * width;
        float squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < width; i++) squares += widen(x[i]) * widen(x[i]);
        const float inverse = 1.f / std::sqrt(squares / width + norm.eps);
#pragma omp simd
        for (int64_t i = 0; i < width; i++) y[i] = narrow<N>(widen(x[i]) * inverse * weight[i]);
    }
}

// The gradient of x, and the sum over these rows of that of the weight.
template <typename N, int FIXED>
void norm_backward(const Norm<N> &norm, int64_t first, int64_t last, float *__restrict__ sums) {
    const int64_t width = FIXED ? FIXED : norm.width;
    const float *__restrict__ weight = norm.weight;
    for (int64_t row = first; row < last; row++) {
        const N *__restrict__ x = norm.x + row * width, *__restrict__ dy = norm.dy + row * width;
        N *__restrict__ dx = norm.y + row * width;
        float squares = 0, product = 0;
#pragma omp simd reduction(+ : squares, product)
        for (int64_t i = 0; i < width; i++) {
            squares += widen(x[i]) * widen(x[i]);
            product += widen(x[i]) * widen(dy[i]) * weight[i];
        }
        const float inverse = 1.f / std::sqrt(squares / width + norm.eps);
        const float mean = product / width * inverse * inverse;
#pragma omp simd
        for (int64_t i = 0; i < width; i++) {
            sums[i] += widen(x[i]) * widen(dy[i]) * inverse;
            dx[i] = narrow<N>((widen(dy[i]) * weight[i] - widen(x[i]) * mean) * inverse);
        }
    }
}

template <typename N, int FIXED>
void run(const Norm<N> &norm, int64_t threads) {
    if (!norm.dy) {
        for_blocks(norm.rows, norm.width, threads, [&](int64_t, int64_t first, int64_t last) {
            norm_forward<N, FIXED>(norm, first, last);
        });
        return;
    }
    // Sums of few rows, then of blocks, then of all, which is more exact than one sum, and in an order
    // that does not depend on the number of threads.
    const int64_t width = norm.width, blocks = count_blocks(norm.rows, width);
    std::vector<float> sums(blocks * width);
    for_blocks(norm.rows, width, threads, [&](int64_t block, int64_t first, int64_t last) {
        std::vector<float> few(width);
        for (int64_t row = first; row < last; row += FEW_ROWS) {
            std::fill(few.begin(), few.end(), 0.f);
            norm_backward<N, FIXED>(norm, row, std::min(row + FEW_ROWS, last), few.data());
            for (int64_t i = 0; i < width; i++) sums[block * width + i] += few[i];
        }
    });
    for (int64_t i = 0; i < width; i++) {
        norm.d_weight[i] = 0;
        for (int64_t block = 0; block < blocks; block++)
            norm.d_weight[i] += sums[block * width + i];
    }
}

template <typename N>
void run(const Norm<N> &norm, int64_t threads) {
    norm.width == 32 ? run<N, 32>(norm, threads) : run<N, 0>(norm, threads);
}

}  // namespace
