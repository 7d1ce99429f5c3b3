// Messages to single devices: an application on a push platform, and its endpoints, each a device with a token.
//
//   auto phones = decouple::PlatformApplication::Create({
//       .platform = "APNS", .name = "shop",
//       .transport = [&](const decouple::PlatformMessage& m) -> absl::Status { return Push(m.token, m.payload); }});
//   auto phone = phones->CreateEndpoint("device-token", {.user_data = "customer-7"});
//   phone->Publish("your order is on its way").IgnoreError();
//   phone->Publish(decouple::PlatformPayloads{{"default", "on its way"}, {"APNS", R"({"aps": {"alert": "!"}})"}})
//       .IgnoreError();
//
// You supply the transport: a function that brings a payload to the device with a given token. Publish() calls it, on
// the calling thread. When it returns kNotFound, the platform no longer knows the token: as with the service, the
// endpoint is disabled, and Publish() fails with kEndpointDisabled until the endpoint is enabled again, by SetToken()
// or SetEnabled().
//
// To subscribe an endpoint to a topic, subscribe a function:
//
//   auto subscription = topic.Subscribe(
//       [phone = *phone](const decouple::Notification<std::string>& n) { return phone.Publish(n.body()).status(); });
//
// Applications and endpoints are handles, as a std::shared_ptr is. An endpoint keeps its application alive. All members
// may be called from any thread, and so may the transport be. No lock is held while the transport runs.

#ifndef DECOUPLE_PLATFORM_APPLICATION_H_
#define DECOUPLE_PLATFORM_APPLICATION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/identity.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"
#include "decouple/publication.h"

namespace decouple::inline v0_1 {

// What the transport delivers, and where to. Valid during the call.
struct PlatformMessage {
  const std::string& platform;  // "APNS"
  const std::string& application;
  const std::string& token;
  const std::string& payload;
  const MessageId& id;
  const std::string& subject;
  const MessageAttributes& attributes;
};

using PlatformTransport = std::function<absl::Status(const PlatformMessage&)>;

// A payload for each platform, with "default" for all others: SNS's message structure "json". Its JSON text is read by
// Parse(), which is defined in json/platform_payloads.h. A plain value.
class PlatformPayloads {
 public:
  PlatformPayloads(std::initializer_list<std::pair<const std::string, std::string>> payloads) : payloads_(payloads) {}
  explicit PlatformPayloads(std::map<std::string, std::string> payloads) : payloads_(std::move(payloads)) {}

  // Reads {"default": "…", "APNS": "…"}. As with the service, a payload that is no string is passed over, so that its
  // platform gets the default one, and of a key that is given twice the last counts. kInvalidParameter: it is no JSON
  // object, or has no string under "default".
  static inline absl::StatusOr<PlatformPayloads> Parse(std::string_view json);

  // The payload for the platform, else the default; null if there is neither.
  const std::string* For(const std::string& platform) const {
    const auto own = payloads_.find(platform);
    if (own != payloads_.end()) return &own->second;
    const auto common = payloads_.find("default");
    return common == payloads_.end() ? nullptr : &common->second;
  }

  friend bool operator==(const PlatformPayloads&, const PlatformPayloads&) = default;

 private:
  std::map<std::string, std::string> payloads_;
};

struct PlatformApplicationOptions {
  std::string platform = {};  // as the service's: ADM, APNS, APNS_SANDBOX, FCM, GCM, …; not empty
  std::string name = {};      // 1 … 256 letters, digits, _ - .
  PlatformTransport transport = {};
  Limits limits = Limits::Service();
  // Of the ids of messages: an application with the same platform, name and seed gives the same ones in each run, and a
  // second one of these in the same process others. 0: a random seed.
  std::uint64_t seed = 0;
};

struct PlatformEndpointOptions {
  // CustomUserData: any text for your own use; at most 2 048 bytes.
  std::string user_data = {};
  bool enabled = true;
  friend bool operator==(const PlatformEndpointOptions&, const PlatformEndpointOptions&) = default;
};

struct PlatformStatistics {
  std::uint64_t number_of_messages_published = 0;
  std::uint64_t number_of_notifications_delivered = 0;
  std::uint64_t number_of_notifications_failed = 0;
};

namespace internal {

// All fields are guarded by the mutex of the endpoint's PlatformCore, which the analysis cannot name here.
struct EndpointState {
  std::string token;
  PlatformEndpointOptions options;
  bool exists = true;
};

class PlatformCore {
 public:
  explicit PlatformCore(PlatformApplicationOptions options)
      : options_(std::move(options)),
        identity_(options_.seed, absl::StrCat("platform ", options_.platform, " ", options_.name)) {}

  const PlatformApplicationOptions& options() const { return options_; }
  MessageId NextId() { return MessageId(identity_.value(), published_.fetch_add(1, std::memory_order_relaxed)); }

  Mutex mutex;
  bool enabled ABSL_GUARDED_BY(mutex) = true;
  std::map<std::string, std::shared_ptr<EndpointState>> endpoints ABSL_GUARDED_BY(mutex);  // by token
  PlatformStatistics statistics ABSL_GUARDED_BY(mutex);

 private:
  const PlatformApplicationOptions options_;
  const Identity identity_;
  std::atomic<std::uint64_t> published_{0};
};

inline absl::Status CheckDeviceToken(const std::string& token) {
  if (!token.empty()) return absl::OkStatus();
  return MakeError(Error::kInvalidParameter, "an empty device token; it must have at least one character");
}

inline absl::Status CheckEndpointOptions(const PlatformEndpointOptions& options) {
  constexpr std::size_t kMaxUserDataBytes = 2'048;  // SNS
  if (options.user_data.size() <= kMaxUserDataBytes) return absl::OkStatus();
  return MakeError(Error::kInvalidParameter, absl::StrCat("user data of ", options.user_data.size(),
                                                          " bytes; allowed are at most ", kMaxUserDataBytes));
}

}  // namespace internal

class PlatformEndpoint {
 public:
  // Passes the payload to the transport now, without retries. When the transport fails, its status is returned.
  // kNotFound: the endpoint was deleted. kPlatformApplicationDisabled, kEndpointDisabled. kInvalidParameter: the
  // payload is empty, larger than 256 KB, or missing for this platform. Of several errors the first of these is
  // returned.
  absl::StatusOr<PublishResult> Publish(const std::string& payload, const PublishOptions& options = {}) const {
    return PublishPayload(&payload, options);
  }
  absl::StatusOr<PublishResult> Publish(const PlatformPayloads& payloads, const PublishOptions& options = {}) const {
    return PublishPayload(payloads.For(core_->options().platform), options);
  }

  std::string token() const {
    const internal::MutexLock lock(core_->mutex);
    return state_->token;
  }
  std::string user_data() const {
    const internal::MutexLock lock(core_->mutex);
    return state_->options.user_data;
  }
  bool enabled() const {
    const internal::MutexLock lock(core_->mutex);
    return state_->options.enabled;
  }

  // kNotFound: the endpoint was deleted.
  absl::Status SetEnabled(bool enabled) const {
    const internal::MutexLock lock(core_->mutex);
    if (!state_->exists) return Deleted();
    state_->options.enabled = enabled;
    return absl::OkStatus();
  }
  // Gives the endpoint the device's new token, and enables it. kNotFound: the endpoint was deleted. kInvalidParameter:
  // the token is empty, or another endpoint has it.
  absl::Status SetToken(const std::string& token) const {
    const internal::MutexLock lock(core_->mutex);
    if (!state_->exists) return Deleted();
    if (absl::Status status = internal::CheckDeviceToken(token); !status.ok()) return status;
    const auto holder = core_->endpoints.find(token);
    if (holder != core_->endpoints.end() && holder->second != state_) {
      return internal::MakeError(Error::kInvalidParameter,
                                 absl::StrCat("the token \"", token, "\" belongs to another endpoint"));
    }
    core_->endpoints.erase(state_->token);
    state_->token = token;
    state_->options.enabled = true;
    core_->endpoints.emplace(token, state_);
    return absl::OkStatus();
  }
  // kNotFound: the endpoint was deleted. kInvalidParameter: the user data is larger than 2 048 bytes.
  absl::Status SetUserData(const std::string& user_data) const {
    const internal::MutexLock lock(core_->mutex);
    if (!state_->exists) return Deleted();
    if (absl::Status status = internal::CheckEndpointOptions({.user_data = user_data}); !status.ok()) return status;
    state_->options.user_data = user_data;
    return absl::OkStatus();
  }

  // Deletes the endpoint; does nothing if it is deleted already.
  void Delete() const {
    const internal::MutexLock lock(core_->mutex);
    if (std::exchange(state_->exists, false)) core_->endpoints.erase(state_->token);
  }

  friend bool operator==(const PlatformEndpoint&, const PlatformEndpoint&) = default;

 private:
  friend class PlatformApplication;

  PlatformEndpoint(std::shared_ptr<internal::PlatformCore> core, std::shared_ptr<internal::EndpointState> state)
      : core_(std::move(core)), state_(std::move(state)) {}

  [[gnu::cold]] static absl::Status Deleted() {
    return internal::MakeError(Error::kNotFound, "the endpoint was deleted");
  }

  // Null: there is no payload for this platform.
  absl::StatusOr<PublishResult> PublishPayload(const std::string* payload, const PublishOptions& options) const {
    std::string token;
    if (absl::Status status = BeginPublish(payload, token); !status.ok()) return status;
    const MessageId id = core_->NextId();
    const PlatformApplicationOptions& application = core_->options();
    ResultCount result{*this, token};
    result.status = application.transport(
        {application.platform, application.name, token, *payload, id, options.subject, options.attributes});
    if (!result.status.ok()) return result.status;
    return PublishResult{id};
  }

  // Checks and counts a publish, and sets `token` to the device's present one.
  absl::Status BeginPublish(const std::string* payload, std::string& token) const {
    const internal::MutexLock lock(core_->mutex);
    if (!state_->exists) return Deleted();
    if (!core_->enabled) {
      return internal::MakeError(Error::kPlatformApplicationDisabled,
                                 absl::StrCat("the application \"", core_->options().name, "\" is disabled"));
    }
    if (!state_->options.enabled) {
      return internal::MakeError(Error::kEndpointDisabled,
                                 absl::StrCat("the endpoint of the token \"", state_->token, "\" is disabled"));
    }
    if (absl::Status status = CheckPayload(payload); !status.ok()) return status;
    ++core_->statistics.number_of_messages_published;
    token = state_->token;
    return absl::OkStatus();
  }

  absl::Status CheckPayload(const std::string* payload) const {
    if (payload == nullptr) {
      return internal::MakeError(Error::kInvalidParameter,
                                 absl::StrCat("a message without a payload for the platform \"",
                                              core_->options().platform, "\" and without a default one"));
    }
    const std::size_t most = core_->options().limits.max_published_message_size;
    if (!payload->empty() && payload->size() <= most) return absl::OkStatus();
    return internal::MakeError(Error::kInvalidParameter,
                               absl::StrCat("a payload of ", payload->size(), " bytes; allowed are 1 to ", most));
  }

  // Counts the transport's result, also that it did not return: it threw, or ended the thread.
  struct ResultCount {
    ~ResultCount() { endpoint.CountResult(status, token); }

    const PlatformEndpoint& endpoint;
    const std::string& token;
    absl::Status status = absl::UnknownError("the transport did not return");
  };

  // Counts the transport's result, and disables the endpoint if the platform no longer knows the token.
  void CountResult(const absl::Status& status, const std::string& token) const {
    const internal::MutexLock lock(core_->mutex);
    ++(status.ok() ? core_->statistics.number_of_notifications_delivered
                   : core_->statistics.number_of_notifications_failed);
    // A failure of the old token does not disable an endpoint that has a new one by now.
    if (status.code() == absl::StatusCode::kNotFound && state_->token == token) state_->options.enabled = false;
  }

  std::shared_ptr<internal::PlatformCore> core_;
  std::shared_ptr<internal::EndpointState> state_;
};

class PlatformApplication {
 public:
  // kInvalidParameter: no transport, no platform, or a name that is not allowed.
  static absl::StatusOr<PlatformApplication> Create(PlatformApplicationOptions options) {
    constexpr std::size_t kLongestName = 256;  // SNS
    if (!options.transport) {
      return internal::MakeError(Error::kInvalidParameter, "an application without a transport");
    }
    if (options.platform.empty()) {
      return internal::MakeError(Error::kInvalidParameter, "an application without a platform");
    }
    bool valid = !options.name.empty() && options.name.size() <= kLongestName;
    for (const char c : options.name) valid = valid && internal::IsAttributeCharacter(c);
    if (!valid) {
      return internal::MakeError(Error::kInvalidParameter,
                                 absl::StrCat("the application name \"", options.name,
                                              "\"; allowed are 1 to 256 letters, digits, underscores, hyphens and "
                                              "dots"));
    }
    return PlatformApplication(std::make_shared<internal::PlatformCore>(std::move(options)));
  }

  // Returns the endpoint of the token; creates it if there is none. kInvalidParameter: the endpoint exists with other
  // options, the token is empty, or the user data is too large.
  absl::StatusOr<PlatformEndpoint> CreateEndpoint(const std::string& token,
                                                  PlatformEndpointOptions options = {}) const {
    absl::Status status = internal::CheckDeviceToken(token);
    status.Update(internal::CheckEndpointOptions(options));
    if (!status.ok()) return status;
    const internal::MutexLock lock(core_->mutex);
    auto& state = core_->endpoints[token];
    if (state == nullptr) {
      state = std::make_shared<internal::EndpointState>(internal::EndpointState{token, std::move(options)});
    } else if (!(state->options == options)) {
      return internal::MakeError(Error::kInvalidParameter, absl::StrCat("an endpoint with the token \"", token,
                                                                        "\" exists already, with other attributes"));
    }
    return PlatformEndpoint(core_, state);
  }

  // All endpoints, in the order of their tokens.
  std::vector<PlatformEndpoint> ListEndpoints() const {
    std::vector<PlatformEndpoint> all;
    const internal::MutexLock lock(core_->mutex);
    for (const auto& [token, state] : core_->endpoints) all.push_back(PlatformEndpoint(core_, state));
    return all;
  }

  // While an application is disabled, all its endpoints refuse messages.
  void SetEnabled(bool enabled) const {
    const internal::MutexLock lock(core_->mutex);
    core_->enabled = enabled;
  }
  bool enabled() const {
    const internal::MutexLock lock(core_->mutex);
    return core_->enabled;
  }

  PlatformStatistics Statistics() const {
    const internal::MutexLock lock(core_->mutex);
    return core_->statistics;
  }
  const std::string& platform() const { return core_->options().platform; }
  const std::string& name() const { return core_->options().name; }

  friend bool operator==(const PlatformApplication&, const PlatformApplication&) = default;

 private:
  explicit PlatformApplication(std::shared_ptr<internal::PlatformCore> core) : core_(std::move(core)) {}

  std::shared_ptr<internal::PlatformCore> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_PLATFORM_APPLICATION_H_
