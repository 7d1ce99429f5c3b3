// Adapts the users' record processors, functions and objects, to the interface that workers call.

#ifndef DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_
#define DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/internal/base/call_guard.h"
#include "decouple/record_batch.h"
#include "decouple/record_processor.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class Processor {
 public:
  Processor() = default;
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;
  virtual ~Processor() = default;

  // Called before anything else. If it fails, nothing else is.
  virtual absl::Status Initialize(const InitializationInput&) { return absl::OkStatus(); }
  virtual absl::Status Process(const RecordBatch<T>& batch, Checkpointer& checkpointer) = 0;
  // Whether the worker makes a checkpoint after each batch, as the processor takes no checkpointer.
  virtual bool is_automatic() const = 0;
  // Whether it has ShardEnded(), and makes the checkpoint of the shard's end itself.
  virtual bool is_told_of_end() const { return false; }
  virtual void ShardEnded(Checkpointer&) {}
  virtual void LeaseLost() {}
  virtual void ShutdownRequested(Checkpointer&) {}
};

template <typename T, typename Function>
class FunctionProcessor final : public Processor<T> {
 public:
  // `function` must outlive the processor.
  explicit FunctionProcessor(Function& function) : function_(function) {}

  absl::Status Process(const RecordBatch<T>& batch, Checkpointer& checkpointer) override {
    if constexpr (std::is_invocable_v<Function&, const RecordBatch<T>&, Checkpointer&>) {
      return InvokeToStatus([&] { return std::invoke(function_, batch, checkpointer); });
    } else {
      return InvokeToStatus([&] { return std::invoke(function_, batch); });
    }
  }
  bool is_automatic() const override { return !std::is_invocable_v<Function&, const RecordBatch<T>&, Checkpointer&>; }

 private:
  Function& function_;
};

template <typename T, typename Object>
concept ProcessesRecords = requires(Object& object, const RecordBatch<T>& batch, Checkpointer& checkpointer) {
  object.ProcessRecords(batch, checkpointer);
}
|| requires(Object& object, const RecordBatch<T>& batch) { object.ProcessRecords(batch); };

template <typename T, typename Object>
class ObjectProcessor final : public Processor<T> {
  static constexpr bool kIsManual = requires(Object & object, const RecordBatch<T>& batch, Checkpointer& checkpointer) {
    object.ProcessRecords(batch, checkpointer);
  };

 public:
  explicit ObjectProcessor(Object object) : object_(std::move(object)) {}

  absl::Status Initialize(const InitializationInput& input) override {
    if constexpr (requires(Object & object) { object.Initialize(input); }) {
      return InvokeToStatus([&] { return object_.Initialize(input); });
    } else if constexpr (requires(Object & object) { object.Initialize(input.shard_id); }) {
      return InvokeToStatus([&] { return object_.Initialize(input.shard_id); });
    } else {
      return absl::OkStatus();
    }
  }
  absl::Status Process(const RecordBatch<T>& batch, Checkpointer& checkpointer) override {
    if constexpr (kIsManual) {
      return InvokeToStatus([&] { return object_.ProcessRecords(batch, checkpointer); });
    } else {
      return InvokeToStatus([&] { return object_.ProcessRecords(batch); });
    }
  }
  bool is_automatic() const override { return !kIsManual; }
  bool is_told_of_end() const override {
    return requires(Object & object, Checkpointer & checkpointer) { object.ShardEnded(checkpointer); };
  }
  void ShardEnded(Checkpointer& checkpointer) override {
    if constexpr (requires(Object & object) { object.ShardEnded(checkpointer); }) {
      InvokeToStatus([&] {
        return object_.ShardEnded(checkpointer);
      }).IgnoreError();  // without a checkpoint it is called again
    }
  }
  void LeaseLost() override {
    if constexpr (requires(Object & object) { object.LeaseLost(); }) {
      InvokeToStatus([&] { return object_.LeaseLost(); }).IgnoreError();  // the reader ends in any case
    }
  }
  void ShutdownRequested(Checkpointer& checkpointer) override {
    if constexpr (requires(Object & object) { object.ShutdownRequested(checkpointer); }) {
      InvokeToStatus([&] {
        return object_.ShutdownRequested(checkpointer);
      }).IgnoreError();  // records without a checkpoint come again
    }
  }

 private:
  Object object_;
};

// Makes the processor for a shard. May fail, also by an exception.
template <typename T>
using ProcessorFactory = std::function<absl::StatusOr<std::unique_ptr<Processor<T>>>(ShardId)>;

template <typename Result>
struct MadeProcessor {
  using Object = Result;
};
template <typename Result>
struct MadeProcessor<absl::StatusOr<Result>> {
  using Object = Result;
};

// `callable` is a function of batches, or one that makes a processor object for a shard, or returns the error for which
// it cannot.
template <typename T, typename Callable>
ProcessorFactory<T> FactoryOf(Callable callable) {
  using Made = absl::StatusOr<std::unique_ptr<Processor<T>>>;
  const auto shared = std::make_shared<Callable>(std::move(callable));
  if constexpr (std::is_invocable_v<Callable&, const RecordBatch<T>&> ||
                std::is_invocable_v<Callable&, const RecordBatch<T>&, Checkpointer&>) {
    return [shared](ShardId) -> Made { return std::make_unique<FunctionProcessor<T, Callable>>(*shared); };
  } else {
    using Result = std::invoke_result_t<Callable&, ShardId>;
    using Object = typename MadeProcessor<Result>::Object;
    static_assert(ProcessesRecords<T, Object>,
                  "decouple: a record processor needs ProcessRecords(const RecordBatch<T>&), with or without a "
                  "Checkpointer&");
    return [shared](ShardId shard) -> Made {
      if constexpr (std::is_same_v<Result, Object>) {
        return std::make_unique<ObjectProcessor<T, Object>>(std::invoke(*shared, shard));
      } else {
        Result object = std::invoke(*shared, shard);
        if (!object.ok()) return object.status();
        return std::make_unique<ObjectProcessor<T, Object>>(*std::move(object));
      }
    };
  }
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_
