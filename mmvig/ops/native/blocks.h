// How rows of numbers, each by itself, are shared out to threads.

#pragma once

#include <algorithm>
#include <cstdint>

namespace {

constexpr int64_t BLOCK = 1 << 15;  // numbers, of the rows that a thread takes at once

inline int64_t rows_of_block(int64_t width) { return std::max<int64_t>(1, BLOCK / width); }

inline int64_t count_blocks(int64_t rows, int64_t width) {
    const int64_t size = rows_of_block(width);
    return (rows + size - 1) / size;
}

// Calls function(block, first row, row after the last) for each block.
template <typename Function>
void for_blocks(int64_t rows, int64_t width, int64_t threads, const Function &function) {
    const int64_t size = rows_of_block(width), blocks = count_blocks(rows, width);
    const int64_t used = std::min(threads, blocks);
#pragma omp parallel for schedule(static) num_threads(used) if (used > 1)
    for (int64_t block = 0; block < blocks; block++)
        function(block, block * size, std::min(rows, (block + 1) * size));
}

}  // namespace
