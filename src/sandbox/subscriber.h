// One subscription to an instance's telemetry: gathers events and sends them to a listener in the sandbox, over HTTP in
// batches or over TCP line by line. A batch on its way and the next one are all that it keeps.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sandbox/telemetry.h"

namespace virga::sandbox {

class Subscriber : public std::enable_shared_from_this<Subscriber> {
 public:
  using Watch = std::function<std::unique_ptr<Readiness>(int fd, std::function<void()> ready)>;
  // `ask_socket` is answered by connect, one for one.
  Subscriber(Subscription wanted, Executor& home, const Clock& clock, Watch watch,
             std::function<void(std::weak_ptr<Subscriber>)> ask_socket, std::function<void()> settled)
      : wanted_(std::move(wanted)),
        home_(home),
        clock_(clock),
        watch_(std::move(watch)),
        ask_socket_(std::move(ask_socket)),
        told_settled_(std::move(settled)) {}

  uint8_t audience() const { return wanted_.audience; }
  uint8_t categories() const { return wanted_.categories; }

  // Takes an event, or counts it as dropped.
  void add(std::string_view event);
  // Sends what has gathered.
  void flush();
  bool settled() const { return batch_.empty() && sending_.empty(); }
  void connect(Fd socket);
  void close();

 private:
  void send();
  void begin();  // of the batch that is being sent, on a connection
  void on_ready();
  void write();
  void read_answer();
  void sent();
  void failed();
  void after(Micros delay, void (Subscriber::*what)());
  void end_connection();

  const Subscription wanted_;
  Executor& home_;
  const Clock& clock_;
  const Watch watch_;
  const std::function<void(std::weak_ptr<Subscriber>)> ask_socket_;
  const std::function<void()> told_settled_;

  std::string batch_;     // events that gather: with commas between, or line by line
  size_t items_ = 0;      // in it
  bool planned_ = false;  // it will be sent when its time is over
  std::string sending_;   // a batch on its way, until it was taken
  uint64_t dropped_items_ = 0, dropped_bytes_ = 0;

  Fd fd_;
  std::unique_ptr<Readiness> readiness_;
  bool asked_ = false;  // for a socket
  std::string output_;  // of sending_, as it is written
  size_t written_ = 0;
  std::string answer_;  // its beginning
  Micros pause_{0};     // before the next try
  uint64_t attempt_ = 0;
  bool closed_ = false;
};

}  // namespace virga::sandbox
