// The user's checkpoint store, as one consumer group uses it: by the group's keys, with the stream's incarnation, and
// with whatever the store throws as a status.
//
// The store is the user's code: no member is called with a mutex held, and the store may end the calling thread
// (pthread_exit).

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_CHECKPOINTS_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_CHECKPOINTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "decouple/checkpoint_store.h"
#include "decouple/internal/base/call_guard.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

// What checkpoints are kept for.
struct GroupIdentity {
  std::uint64_t stream_incarnation = 0;
  std::string stream = {};
  std::string group = {};
};

// All members may be called from any thread.
class GroupCheckpoints {
 public:
  GroupCheckpoints(GroupIdentity identity, std::shared_ptr<CheckpointStore> store)
      : identity_(std::move(identity)), store_(std::move(store)) {}

  const std::string& group() const { return identity_.group; }
  Checkpoint At(const CheckpointPosition& position) const { return {identity_.stream_incarnation, position}; }

  absl::Status Save(ShardId shard, const CheckpointPosition& position) {
    return InvokeToStatus([&] { return store_->Save(KeyOf(shard), At(position)); });
  }
  absl::Status Forget(ShardId shard) {
    return InvokeToStatus([&] { return store_->Forget(KeyOf(shard)); });
  }

  // Saves all of these. On the first error it has the store forget what it saved; if that fails, too, the error says
  // so.
  absl::Status SaveAll(const std::vector<std::pair<ShardId, CheckpointPosition>>& all) {
    for (auto next = all.begin(); next != all.end(); ++next) {
      absl::Status status = Save(next->first, next->second);
      if (status.ok()) continue;
      std::size_t left = 0;
      for (auto saved = all.begin(); saved != next + 1; ++saved) {  // also the last one, which may have been saved
        if (!Forget(saved->first).ok()) ++left;
      }
      return left == 0 ? status : WithRest(status, left);
    }
    return absl::OkStatus();
  }

 private:
  CheckpointKey KeyOf(ShardId shard) const { return {identity_.stream, identity_.group, shard}; }

  // The store's error, with its payloads, and how many checkpoints it may keep.
  absl::Status WithRest(const absl::Status& error, std::size_t left) const {
    absl::Status with_rest(error.code(),
                           absl::StrCat(error.message(), "; and the store could not forget up to ", left,
                                        " checkpoints that it had saved for the group \"", group(), "\" by then"));
    error.ForEachPayload(
        [&](absl::string_view type, const absl::Cord& payload) { with_rest.SetPayload(type, payload); });
    return with_rest;
  }

  const GroupIdentity identity_;
  const std::shared_ptr<CheckpointStore> store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_CHECKPOINTS_H_
