// Hash tables that give memory back: Abseil's keep what they once needed.

#ifndef DECOUPLE_INTERNAL_BASE_REHASH_H_
#define DECOUPLE_INTERNAL_BASE_REHASH_H_

#include <cstddef>

namespace decouple::internal {

// After an erasure. Amortized O(1): when it shrinks, seven eighths of the capacity were erased since it grew or shrank.
template <typename Table>
void RehashIfSparse(Table& table) {
  constexpr std::size_t kSmall = 256;
  if (table.capacity() > kSmall && table.size() < table.capacity() / 8) table.rehash(table.size() * 2);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_REHASH_H_
