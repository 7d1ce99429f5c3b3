// The hook by which filters parse JSON text: bodies that are text, and attributes of the type String.Array.
//
// The core has no JSON parser. A program that includes json/filter_policy.h in any of its files has the hook set before
// main(), and a process that loads a module which does, from then on; without it all text counts as malformed, which
// matches nothing.

#ifndef DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_
#define DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_

#include <atomic>
#include <memory>
#include <string_view>

#include "decouple/internal/base/module_slot.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/filter/field_value.h"

namespace decouple::inline v0_1::internal {

// A text that has been parsed.
class JsonDocument {
 public:
  virtual ~JsonDocument() = default;
  // Its root; valid as long as the document.
  virtual FieldValue value() const = 0;
  // Whether an object in it has a member whose name has a dot.
  virtual bool has_dotted_names() const = 0;
};

// Parses JSON text; null if it is malformed. Called from any thread.
using JsonHook = std::unique_ptr<const JsonDocument> (*)(std::string_view text);

// Called before main(), or when a module with the parser is loaded. The hook is one for the process: the module that
// publishes need not be the one that subscribed with a policy. So this module, whose code it is, stays loaded.
// Release: pairs with the acquire in ParseByHook(). All hooks do the same.
[[gnu::visibility("hidden")]] inline bool SetJsonHook(JsonHook hook) {
  JsonHook none = nullptr;
  if (Process().json_hook.compare_exchange_strong(none, hook, std::memory_order_acq_rel)) KeepModuleLoaded();
  return true;
}

// Null: the text is malformed, or the program has no parser.
inline std::unique_ptr<const JsonDocument> ParseByHook(std::string_view text) {
  const JsonHook parse = Process().json_hook.load(std::memory_order_acquire);
  return parse == nullptr ? nullptr : parse(text);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_JSON_HOOK_H_
