// The words of a consumer group's table of leases: what its owner, its users and its checkpoint store know of a lease.

#ifndef DECOUPLE_INTERNAL_GROUP_LEASE_H_
#define DECOUPLE_INTERNAL_GROUP_LEASE_H_

#include <cstdint>
#include <string>

#include "decouple/checkpoint_store.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

// A lease as its owner knows it. It is held no longer than the row has this owner and this counter.
struct HeldLease {
  ShardId shard;
  std::uint64_t worker = 0;
  std::uint64_t counter = 0;
};

// A row of the table, for users.
struct LeaseView {
  ShardId shard;
  std::string owner;  // empty: free
  std::int64_t expires_at = 0;
  Checkpoint checkpoint;
};

struct LeaseCounts {
  std::uint64_t taken = 0;
  std::uint64_t stolen = 0;  // how many of these were another worker's, taken for balance
  std::uint64_t lost = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_LEASE_H_
