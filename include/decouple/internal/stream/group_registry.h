// The consumer groups that a stream has at present, by name and checkpoint store: so two parts of a program that create
// the same group get one. The registry does not keep groups alive, and does not know what they are: they belong to a
// room above.
//
// Lock order: the mutex is a leaf. It is not held while a group is made, which calls the user's checkpoint store.

#ifndef DECOUPLE_INTERNAL_STREAM_GROUP_REGISTRY_H_
#define DECOUPLE_INTERNAL_STREAM_GROUP_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/mutex.h"

namespace decouple::inline v0_1::internal {

class GroupRegistry {
 public:
  using Key = std::pair<std::string, const void*>;  // the group's name, and the store; null: in memory, for this group
  using Group = std::shared_ptr<void>;

  // Returns the group if it is there, else the one that `make()` returns. Other threads that look for it wait until it
  // has been made, or could not be: then one of them tries.
  template <typename Make>
  absl::StatusOr<Group> FindOrMake(const Key& key, Make make) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (Group group = FindOrReserve(key)) return group;
    Reservation reservation(*this, key);
    auto made = make();
    if (!made.ok()) return made.status();
    reservation.Fill(*made);
    return Group(*std::move(made));
  }

 private:
  struct Entry {
    std::weak_ptr<void> group;
    bool is_being_made = false;
  };

  // Ends with this object, however make() returns.
  class Reservation {
   public:
    Reservation(GroupRegistry& registry, const Key& key) : registry_(registry), key_(key) {}
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation() { registry_.End(key_, group_); }

    void Fill(const Group& group) { group_ = group; }

   private:
    GroupRegistry& registry_;
    const Key& key_;
    std::weak_ptr<void> group_;
  };

  // Null: the caller is to make it.
  Group FindOrReserve(const Key& key) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    for (;;) {
      Entry& entry = groups_[key];
      if (Group group = entry.group.lock()) return group;
      if (!entry.is_being_made) {
        entry.is_being_made = true;
        return nullptr;
      }
      made_.Wait(mutex_);
    }
  }

  void End(const Key& key, const std::weak_ptr<void>& group) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      groups_[key] = Entry{group};
      std::erase_if(groups_,
                    [](const auto& entry) { return !entry.second.is_being_made && entry.second.group.expired(); });
    }
    made_.NotifyAll();
  }

  Mutex mutex_;
  ConditionVariable made_;
  std::map<Key, Entry> groups_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_GROUP_REGISTRY_H_
