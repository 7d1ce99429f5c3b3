#include "decouple/platform_application.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "catch.h"
#include "decouple/error.h"
#include "decouple/json/platform_payloads.h"
#include "decouple/topic.h"
#include "testing.h"

namespace {

using decouple::Error;
using decouple::Notification;
using decouple::PlatformApplication;
using decouple::PlatformEndpoint;
using decouple::PlatformMessage;
using decouple::PlatformPayloads;
using decouple::Topic;
using decouple::testing::ErrorIn;

struct Sent {
  std::string token;
  std::string payload;
  friend bool operator==(const Sent&, const Sent&) = default;
};

// A platform that accepts everything, or returns the status that the test has set.
struct Platform {
  std::vector<Sent> sent = {};
  absl::Status answer = absl::OkStatus();

  PlatformApplication Application(std::string platform = "APNS") {
    return PlatformApplication::Create({.platform = std::move(platform),
                                        .name = "shop",
                                        .transport =
                                            [this](const PlatformMessage& message) {
                                              sent.push_back({message.token, message.payload});
                                              return answer;
                                            }})
        .value();
  }
};

}  // namespace

TEST_CASE("a message goes to the device of one token") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone").value();
  const auto tablet = application.CreateEndpoint("tablet").value();
  const auto first = phone.Publish("hello").value();
  const auto second = tablet.Publish("you").value();
  CHECK_FALSE(first.message_id == second.message_id);
  CHECK(platform.sent == std::vector<Sent>{{"phone", "hello"}, {"tablet", "you"}});
  CHECK(application.Statistics().number_of_notifications_delivered == 2);
}

TEST_CASE("each platform gets its own payload, or the default one") {
  const PlatformPayloads payloads{{"default", "all"}, {"GCM", "google"}};
  Platform platform;
  CHECK(platform.Application("APNS").CreateEndpoint("a")->Publish(payloads).ok());
  CHECK(platform.Application("GCM").CreateEndpoint("g")->Publish(payloads).ok());
  CHECK(platform.sent == std::vector<Sent>{{"a", "all"}, {"g", "google"}});
  CHECK(ErrorIn(platform.Application("APNS").CreateEndpoint("a")->Publish(PlatformPayloads{{"GCM", "google"}})) ==
        Error::kInvalidParameter);
}

TEST_CASE("payloads are read from JSON") {
  CHECK(PlatformPayloads::Parse(R"({"default": "all", "GCM": "google"})").value() ==
        PlatformPayloads{{"default", "all"}, {"GCM", "google"}});
  for (const char* malformed : {"", "{", "[]", R"("default")", "null", "{}", R"({"GCM": "x"})", R"({"default": 5})",
                                R"({"default": "x", "default": 5})"}) {
    INFO(malformed);
    CHECK(ErrorIn(PlatformPayloads::Parse(malformed)) == Error::kInvalidParameter);
  }
}

TEST_CASE("a payload in JSON that is no string is passed over, for the default one") {
  for (const char* payload : {"5", "{}", "null", R"(["x"])"}) {
    INFO(payload);
    CHECK(PlatformPayloads::Parse(R"({"default": "all", "ADM": "a", "GCM": )" + std::string(payload) + "}").value() ==
          PlatformPayloads{{"default", "all"}, {"ADM", "a"}});
  }
}

TEST_CASE("of a key that payloads in JSON have twice the last counts") {
  CHECK(PlatformPayloads::Parse(R"({"default": "x", "GCM": "g", "default": "y", "GCM": "h"})").value() ==
        PlatformPayloads{{"default", "y"}, {"GCM", "h"}});
  CHECK(PlatformPayloads::Parse(R"({"default": 5, "default": "y", "GCM": "g", "GCM": 5})").value() ==
        PlatformPayloads{{"default", "y"}});
}

TEST_CASE("a disabled endpoint or application refuses messages") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone").value();
  REQUIRE(phone.SetEnabled(false).ok());
  CHECK(ErrorIn(phone.Publish("x")) == Error::kEndpointDisabled);
  REQUIRE(phone.SetEnabled(true).ok());
  application.SetEnabled(false);
  CHECK(ErrorIn(phone.Publish("x")) == Error::kPlatformApplicationDisabled);
  application.SetEnabled(true);
  CHECK(phone.Publish("x").ok());
  CHECK(platform.sent.size() == 1);
  CHECK(ErrorIn(application.CreateEndpoint("off", {.enabled = false})->Publish("x")) == Error::kEndpointDisabled);
}

TEST_CASE("the state of an endpoint and its application comes before faults of the payload") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone").value();
  const PlatformPayloads none{{"GCM", "google"}};
  const std::string too_long(262'145, 'x');
  const auto all_fail_with = [&](Error error) {
    CHECK(ErrorIn(phone.Publish(none)) == error);
    CHECK(ErrorIn(phone.Publish("")) == error);
    CHECK(ErrorIn(phone.Publish(too_long)) == error);
  };
  all_fail_with(Error::kInvalidParameter);
  REQUIRE(phone.SetEnabled(false).ok());
  all_fail_with(Error::kEndpointDisabled);
  application.SetEnabled(false);
  all_fail_with(Error::kPlatformApplicationDisabled);
  phone.Delete();
  all_fail_with(Error::kNotFound);
  CHECK(application.Statistics().number_of_messages_published == 0);
}

TEST_CASE("an endpoint whose token the platform no longer knows is disabled until it has a new one") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("old").value();
  platform.answer = absl::UnavailableError("busy");
  CHECK(phone.Publish("x").status().code() == absl::StatusCode::kUnavailable);
  CHECK(phone.enabled());
  platform.answer = absl::NotFoundError("unregistered");
  CHECK(phone.Publish("x").status().code() == absl::StatusCode::kNotFound);
  CHECK_FALSE(phone.enabled());
  CHECK(ErrorIn(phone.Publish("x")) == Error::kEndpointDisabled);
  platform.answer = absl::OkStatus();
  CHECK(phone.SetToken("new").ok());
  CHECK(phone.enabled());
  CHECK(phone.Publish("x").ok());
  CHECK(platform.sent.back() == Sent{"new", "x"});
  CHECK(application.Statistics().number_of_notifications_failed == 2);
}

TEST_CASE("each token has one endpoint") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone", {.user_data = "customer-7"}).value();
  CHECK(application.CreateEndpoint("phone", {.user_data = "customer-7"}).value() == phone);
  CHECK(ErrorIn(application.CreateEndpoint("phone")) == Error::kInvalidParameter);
  CHECK(ErrorIn(application.CreateEndpoint("phone", {.user_data = "customer-7", .enabled = false})) ==
        Error::kInvalidParameter);
  const auto tablet = application.CreateEndpoint("tablet").value();
  CHECK(ErrorIn(tablet.SetToken("phone")) == Error::kInvalidParameter);
  CHECK(tablet.SetToken("tablet").ok());
  CHECK(application.ListEndpoints() == std::vector{phone, tablet});
}

TEST_CASE("a deleted endpoint is gone") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone").value();
  phone.Delete();
  phone.Delete();
  CHECK(application.ListEndpoints().empty());
  CHECK(ErrorIn(phone.Publish("x")) == Error::kNotFound);
  CHECK(ErrorIn(phone.Publish("")) == Error::kNotFound);
  CHECK(ErrorIn(phone.Publish(PlatformPayloads{{"GCM", "google"}})) == Error::kNotFound);
  CHECK(ErrorIn(phone.SetToken("other")) == Error::kNotFound);
  CHECK(ErrorIn(phone.SetToken("")) == Error::kNotFound);
  CHECK(ErrorIn(phone.SetEnabled(false)) == Error::kNotFound);
  CHECK(ErrorIn(phone.SetUserData("customer-8")) == Error::kNotFound);
  CHECK(ErrorIn(phone.SetUserData(std::string(2'049, 'x'))) == Error::kNotFound);
  CHECK(phone.enabled());
  CHECK(phone.user_data().empty());
  CHECK(platform.sent.empty());
  CHECK_FALSE(application.CreateEndpoint("phone").value() == phone);
}

TEST_CASE("malformed or too long names, tokens, user data and payloads are refused") {
  Platform platform;
  const auto application = platform.Application();
  const auto phone = application.CreateEndpoint("phone", {.user_data = std::string(2'048, 'x')}).value();
  CHECK(ErrorIn(application.CreateEndpoint("")) == Error::kInvalidParameter);
  CHECK(ErrorIn(application.CreateEndpoint("x", {.user_data = std::string(2'049, 'x')})) == Error::kInvalidParameter);
  CHECK(ErrorIn(phone.SetUserData(std::string(2'049, 'x'))) == Error::kInvalidParameter);
  CHECK(phone.user_data().size() == 2'048);
  CHECK(ErrorIn(phone.SetToken("")) == Error::kInvalidParameter);
  CHECK(ErrorIn(phone.Publish("")) == Error::kInvalidParameter);
  CHECK(phone.Publish(std::string(262'144, 'x')).ok());
  CHECK(ErrorIn(phone.Publish(std::string(262'145, 'x'))) == Error::kInvalidParameter);
  const auto transport = [](const PlatformMessage&) { return absl::OkStatus(); };
  CHECK(ErrorIn(PlatformApplication::Create({.platform = "APNS", .name = "shop"})) == Error::kInvalidParameter);
  CHECK(ErrorIn(PlatformApplication::Create({.name = "shop", .transport = transport})) == Error::kInvalidParameter);
  for (const std::string& name : {std::string(), std::string("a b"), std::string(257, 'x')}) {
    CHECK(ErrorIn(PlatformApplication::Create({.platform = "APNS", .name = name, .transport = transport})) ==
          Error::kInvalidParameter);
  }
}

TEST_CASE("an endpoint can be subscribed to a topic") {
  Platform platform;
  const auto phone = platform.Application().CreateEndpoint("phone").value();
  Topic<std::string> topic;
  auto subscription =
      topic.Subscribe([phone](const Notification<std::string>& n) { return phone.Publish(n.body()).status(); }).value();
  REQUIRE(topic.Publish("hello").ok());
  topic.Deliver();
  CHECK(platform.sent == std::vector<Sent>{{"phone", "hello"}});
}
