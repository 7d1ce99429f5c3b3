// Parses the payloads of a message for several platforms from JSON text: see decouple/platform_application.h.
//
//   phone.Publish(PlatformPayloads::Parse(R"({"default": "on its way", "APNS": "{\"aps\": {…}}"})").value());
//
// Part of the CMake target decouple::json, which needs nlohmann-json.

#ifndef DECOUPLE_JSON_PLATFORM_PAYLOADS_H_
#define DECOUPLE_JSON_PLATFORM_PAYLOADS_H_

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/json/internal/json_text.h"
#include "decouple/platform_application.h"

namespace decouple::inline v0_1 {

inline absl::StatusOr<PlatformPayloads> PlatformPayloads::Parse(std::string_view json) {
  const auto refuse = [](const std::string& what) {
    return internal::MakeError(Error::kInvalidParameter, absl::StrCat("message structure: ", what));
  };
  internal::JsonKeys keys;
  const std::optional<nlohmann::json> payloads = internal::ParseJson(json, keys);
  if (!payloads) return refuse(absl::StrCat("no JSON, ", internal::JsonErrorSearch::In(json)));
  if (!payloads->is_object() || !payloads->contains("default") || !(*payloads)["default"].is_string()) {
    return refuse("it is an object of a payload for each platform, with a string under the key \"default\"");
  }
  std::map<std::string, std::string> by_platform;
  for (const auto& [platform, payload] : payloads->items()) {
    if (payload.is_string()) by_platform.emplace(platform, payload.get<std::string>());  // else it gets the default one
  }
  return PlatformPayloads(std::move(by_platform));
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_JSON_PLATFORM_PAYLOADS_H_
