// What extensions subscribe to: AWS's Telemetry API of 2022-07-01 and its elder, the Logs API of 2020-08-15. Events are
// gathered for each subscriber and sent to where it listens in the sandbox. Memory is bounded: what a subscriber does
// not take in time is dropped and it is told how much. Nothing here waits for a subscriber.
//
// Belongs to its instance's executor.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/json.h"
#include "base/time.h"
#include "sandbox/api_server.h"
#include "sandbox/jail/fd.h"

namespace virga::sandbox {

// Who an event is for.
enum Audience : uint8_t {
  kTelemetry2022 = 1,     // the Telemetry API's first schema
  kTelemetryObjects = 8,  // its later ones, in which a line may be an object
  kTelemetry = kTelemetry2022 | kTelemetryObjects,
  kLogs2020 = 2,  // the Logs API, by schema
  kLogs2021 = 4,
  kLogs = kLogs2020 | kLogs2021,
  kEverybody = kTelemetry | kLogs,
};
enum Category : uint8_t { kPlatform = 1, kFunctionLine = 2, kExtensionLine = 4 };

struct Subscription {
  uint8_t audience = 0;
  uint8_t categories = 0;
  Json types;          // as they were given
  uint16_t port = 0;   // on the sandbox's loopback
  std::string target;  // of an HTTP request; empty: TCP
  std::string host;
  bool put = false;  // the Logs API's method PUT
  size_t most_items = 10'000;
  size_t most_bytes = 262'144;
  Millis most_wait{1000};
};

// Reads a subscription request; what is wrong with it goes into `wrong`.
Subscription parse_subscription(std::string_view body, bool logs_api, std::string& wrong);

class Subscriber;

class Telemetry {
 public:
  // What it needs of its instance. `ask_socket` asks for one TCP socket in the sandbox's network: give_socket brings
  // it.
  struct Host {
    Executor& home;
    const Clock& clock;
    std::function<std::unique_ptr<Readiness>(int fd, std::function<void()> ready)> watch;
    std::function<void()> ask_socket;
    std::function<void()> settled;  // a subscriber has taken what there was
  };
  explicit Telemetry(Host host);
  ~Telemetry();

  // PUT /2022-07-01/telemetry or /2020-08-15/logs by the extension `name`. Gives what is to be told of it: the types it
  // subscribed to.
  std::optional<Json> subscribe(ApiConnection& from, const std::string& name, bool logs_api);
  // The initialisation is over: nobody subscribes any more, and what was kept for late ones is let go.
  void close_subscriptions();

  void platform(Time time, std::string_view type, const Json& record, uint8_t audience);
  // `may_be_object`: of a function whose log is JSON.
  void line(Category category, std::string_view text, bool may_be_object);

  void flush();
  bool settled() const;  // nothing waits to be sent
  void give_socket(Fd socket);
  void close();

 private:
  struct Kept {
    std::string event;
    Category category;
    uint8_t audience;
  };
  void add(Time time, std::string_view type, const Json& record, Category category, uint8_t audience);

  const Host host_;
  std::vector<std::shared_ptr<Subscriber>> subscribers_;
  std::vector<std::string> names_;                     // theirs
  std::deque<std::weak_ptr<Subscriber>> want_socket_;  // in the order they asked
  std::vector<Kept> kept_;                             // of the initialisation, for those who subscribe late
  size_t kept_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace virga::sandbox
