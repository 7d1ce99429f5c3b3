// Fuzzes the parsers of filter policies and of JSON text, and the matching: any text must be handled.
//
//   tests/run fuzz 600          for ten minutes
//
// An input is a policy and a body, separated by a line feed; without one the body is empty. The body is also the value
// of an attribute of type String.Array.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_index.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/json/filter_policy.h"
#include "decouple/json/platform_payloads.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"

namespace {

using decouple::FilterDialect;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::Limits;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Whether it matches.
bool TryTree(const decouple::internal::FilterGroup* tree, const decouple::MessageAttributes& attributes,
             const std::string& body) {
  const decouple::internal::FilterInput filter_input(attributes, body);
  const bool matches = decouple::internal::Matches(*tree, filter_input.root());
  const decouple::internal::FilterIndex index({tree, tree});
  std::vector<std::uint32_t> found;
  index.ForEachMatch(filter_input.root(), [&](std::uint32_t policy_index) { found.push_back(policy_index); });
  Require(found == (matches ? std::vector<std::uint32_t>{0, 1} : std::vector<std::uint32_t>{}));
  return matches;
}

void TryPolicy(std::string_view text, FilterScope scope, const decouple::MessageAttributes& attributes,
               const std::string& body) {
  constexpr auto kEventBridge = FilterDialect::kEventBridge;
  const absl::StatusOr<FilterPolicy> policy = FilterPolicy::Parse(text, scope, Limits::Unlimited());
  const absl::StatusOr<FilterPolicy> in_event_bridge =
      FilterPolicy::Parse(text, scope, Limits::Unlimited(), kEventBridge);
  if (in_event_bridge.ok() && !in_event_bridge->lets_all_through()) {
    const auto* const tree = decouple::internal::Access::Tree(*in_event_bridge);
    const bool matches = TryTree(tree, attributes, body);
    decouple::internal::FilterGroup negation;
    negation.nots.push_back(*tree);
    Require(!(TryTree(&negation, attributes, body) && matches));
  }
  if (!policy.ok()) {
    Require(decouple::ErrorOf(policy.status()) == decouple::Error::kInvalidParameter);
    Require(!policy.status().message().empty());
    Require(!FilterPolicy::Parse(text, scope).ok());
    return;
  }
  Require(in_event_bridge.ok() && *in_event_bridge == *policy);
  Require(FilterPolicy::Parse(text, scope, Limits::Unlimited()).value() == *policy);
  const auto* const tree = decouple::internal::Access::Tree(*policy);
  const bool matches = policy->Matches(attributes, body);
  Require(tree == nullptr ? matches : TryTree(tree, attributes, body) == matches);
  static_cast<void>(policy->Matches(attributes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\n');
  const std::string_view text = input.substr(0, end);
  const std::string body(end == std::string_view::npos ? "" : input.substr(end + 1));
  decouple::MessageAttributes attributes{{"t", body}, {"n", decouple::AttributeValue::Number(body)}};
  attributes.Set("a", decouple::AttributeValue(body).WithSuffix("Array"));
  TryPolicy(text, FilterScope::kMessageAttributes, attributes, body);
  TryPolicy(text, FilterScope::kMessageBody, attributes, body);
  static_cast<void>(decouple::PlatformPayloads::Parse(text));
  return 0;
}
