// One HTTP/2 connection: streams mapped to the same handler as HTTP/1.1, framing and flow control by nghttp2.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/async.h"
#include "front/lane.h"

struct nghttp2_session;

namespace virga::front {

class Http2Connection final : public Connection, private rt::CoarseTimer {
 public:
  Http2Connection(Lane& lane, std::shared_ptr<const Origin> origin, rt::Stream& stream, Arrival arrival);
  ~Http2Connection() override;

  // Serves until the connection and all handlers of its streams have ended. `received`: bytes read already.
  Task<void> run(std::string received);

  void drain() override;
  void abort() override { stream_.close(); }

 private:
  struct Exchange;  // one stream: request and response
  class BodySource;
  struct Callbacks;
  friend struct Callbacks;
  using ExchangePtr = std::shared_ptr<Exchange>;

  void expired() override;
  // Sets the deadline by what the connection waits for.
  void arm_for_read();
  void start_ready();
  Task<void> run_exchange(ExchangePtr exchange);
  Task<void> respond(ExchangePtr exchange, wire::HttpResponse response);
  Task<std::optional<std::string>> read_body(ExchangePtr exchange);
  // Writes what the session has to say; returns at once.
  void flush();
  Task<void> write_all();
  void close_when_drained();

  rt::Stream& stream_;
  const Arrival arrival_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, ExchangePtr> exchanges_;  // open streams
  std::vector<ExchangePtr> ready_;            // whose handlers are to be started
  std::string out_;
  size_t running_ = 0;  // handlers that have not ended, of closed streams too
  size_t readers_ = 0;  // handlers that wait for a body
  bool writing_ = false, dead_ = false, draining_ = false;
  Event settled_;  // set when nothing runs and the connection is dead
};

}  // namespace virga::front
