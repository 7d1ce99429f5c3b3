// Lets hash tables give memory back: Abseil's keep the largest capacity that they ever needed.

#ifndef DECOUPLE_INTERNAL_BASE_REHASH_H_
#define DECOUPLE_INTERNAL_BASE_REHASH_H_

#include <cstddef>

namespace decouple::inline v0_1::internal {

// Called after an erasure. Amortized O(1): a table that shrinks has erased at least an eighth of its capacity since it
// last grew or shrank.
template <typename Table>
void RehashIfSparse(Table& table) {
  constexpr std::size_t kSmall = 256;
  if (table.capacity() > kSmall && table.size() < table.capacity() / 8) table.rehash(table.size() * 2);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_REHASH_H_
