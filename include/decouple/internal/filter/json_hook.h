// How text is read that holds JSON: bodies that are text, and attributes of the type String.Array.
//
// The core knows no JSON. A program that includes json/filter_policy.h anywhere has a reader from its start; without
// one such text is as good as malformed: it matches nothing.

#ifndef DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_
#define DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_

#include <atomic>
#include <memory>
#include <string_view>

#include "decouple/internal/filter/field_value.h"

namespace decouple::internal {

class JsonHook {
 public:
  virtual ~JsonHook() = default;
  virtual FieldValue value() const = 0;
};

// Null: the text is malformed. Called from any thread.
using TextReader = std::unique_ptr<const JsonHook> (*)(std::string_view text);

inline constinit std::atomic<TextReader> text_reader{nullptr};

inline std::unique_ptr<const JsonHook> ReadText(std::string_view text) {
  const TextReader reader = text_reader.load(std::memory_order_relaxed);  // set before main()
  return reader == nullptr ? nullptr : reader(text);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_
