// Adapts the users' record processors, functions and objects, to the interface that workers call.

#ifndef DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_
#define DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
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
  ObjectProcessor(Object object, ShardId shard) : object_(std::move(object)) {
    if constexpr (requires(Object & one) { one.Initialize(shard); }) {
      InvokeToStatus([&] { return object_.Initialize(shard); }).IgnoreError();
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

// Makes the processor for a shard.
template <typename T>
using ProcessorFactory = std::function<std::unique_ptr<Processor<T>>(ShardId)>;

// `callable` is a function of batches, or one that makes a processor object for a shard.
template <typename T, typename Callable>
ProcessorFactory<T> FactoryOf(Callable callable) {
  const auto shared = std::make_shared<Callable>(std::move(callable));
  if constexpr (std::is_invocable_v<Callable&, const RecordBatch<T>&> ||
                std::is_invocable_v<Callable&, const RecordBatch<T>&, Checkpointer&>) {
    return [shared](ShardId) { return std::make_unique<FunctionProcessor<T, Callable>>(*shared); };
  } else {
    using Object = std::invoke_result_t<Callable&, ShardId>;
    static_assert(ProcessesRecords<T, Object>,
                  "decouple: a record processor needs ProcessRecords(const RecordBatch<T>&), with or without a "
                  "Checkpointer&");
    return [shared](ShardId shard) {
      return std::make_unique<ObjectProcessor<T, Object>>(std::invoke(*shared, shard), shard);
    };
  }
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_PROCESSOR_H_
