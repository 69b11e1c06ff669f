// HTTP on a sandbox's own 127.0.0.1:9001: connections and their requests, every part bounded. What a request means is
// the handler's business.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "sandbox/answer.h"
#include "sandbox/jail/fd.h"
#include "sandbox/readiness.h"
#include "sandbox/runtime_api.h"

namespace virga::sandbox {

class ApiConnection;

// Everything is called at home.
class ApiHandler {
 public:
  virtual ~ApiHandler() = default;
  virtual Executor& home() = 0;
  virtual std::shared_ptr<void> keep() = 0;  // holds the handler while one of its connections is at work
  virtual std::unique_ptr<Readiness> watch(int fd, std::function<void()> ready) = 0;
  // A request's head has come: says how much of a body to keep, or where it streams.
  virtual void prepare(ApiConnection& from) = 0;
  // A request has come whole: an answer is owed, now or later.
  virtual void serve(ApiConnection& from) = 0;
};

class ApiConnection : public std::enable_shared_from_this<ApiConnection> {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  ApiConnection(ApiHandler& handler, Fd fd) : handler_(handler), fd_(std::move(fd)) {}
  void open();
  void close();
  bool closed() const { return !fd_; }

  const ApiRequest& request() const { return parser_.request(); }
  void answer(int status, std::string_view content_type, const Headers& headers, std::string_view body);
  // {"errorMessage", "errorType"}
  void refuse(int status, std::string_view type, std::string_view message);
  void not_found();
  // Goes on reading after a stream was full.
  void go_on();

  // Of the request under way.
  std::string body;
  size_t most_body = 0;
  bool too_large = false;
  std::shared_ptr<AnswerPipe> stream;
  bool held = false;  // nobody takes what streams

 private:
  void on_ready();
  void flush();
  void take_body(std::string_view bytes);

  ApiHandler& handler_;
  Fd fd_;
  std::unique_ptr<Readiness> readiness_;
  ApiParser parser_;
  std::string input_;     // read, not yet parsed
  bool waiting_ = false;  // an answer is owed; no more is read until it is given
  bool in_feed_ = false;
  bool turn_ended_ = false;  // goes on when the others had theirs
  std::string output_;
  size_t sent_ = 0;
};

class ApiServer {
 public:
  static constexpr size_t kMostConnections = 64;
  explicit ApiServer(ApiHandler& handler) : handler_(handler) {}
  // So many requests may wait for an answer at a time, beside what else a sandbox asks. Before open.
  void expect(size_t calls) { most_ = kMostConnections + calls; }
  void open(int listener);
  void close();
  // The streams of all connections fail.
  void break_streams(const std::string& why);

 private:
  void accept_all();

  ApiHandler& handler_;
  size_t most_ = kMostConnections;
  int fd_ = -1;
  std::unique_ptr<Readiness> listener_;
  std::list<std::shared_ptr<ApiConnection>> connections_;
};

}  // namespace virga::sandbox
