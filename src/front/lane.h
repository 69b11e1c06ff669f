// One reactor's share of a server: its connections, its listening sockets, and what they all need.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "front/server.h"
#include "rt/stream.h"
#include "rt/watch.h"

namespace virga::front {

struct Counters {
  std::atomic<uint64_t> connections = 0, accepted = 0, refused = 0, requests = 0;
};

// What the connections accepted by one listening socket share.
struct Origin {
  Server::ListenerId id;
  Handlers handlers;
  std::shared_ptr<rt::TlsServer> tls;
  size_t most = 0;          // connections at a time; 0: no limit of its own
  mutable size_t open = 0;  // counted where there is a limit, on the one reactor that serves it
};

class Lane;

// A connection as its lane sees it. It is in its lane's list while it lives.
class Connection {
 public:
  Connection(Lane& lane, std::shared_ptr<const Origin> origin);
  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  // Finishes what is under way and takes nothing new; closes at once when idle.
  virtual void drain() = 0;
  virtual void abort() = 0;

  const Origin& origin() const { return *origin_; }

 protected:
  Lane& lane_;
  const std::shared_ptr<const Origin> origin_;

 private:
  friend class Lane;
  Connection* next_ = nullptr;
  Connection** here_ = nullptr;
};

class Lane {
 public:
  Lane(rt::Reactor& reactor, const ServerOptions& options, Counters& counters);
  ~Lane();

  // All from the reactor's thread.
  void open(int fd, std::shared_ptr<const Origin> origin);
  void close(Server::ListenerId id);
  void stop_accepting();
  void drain();
  void abort();
  bool idle() const { return running_ == 0; }

  // Takes a connected socket and serves it to its end.
  void serve(int fd, std::shared_ptr<const Origin> origin);

  // "date: …\r\nserver: …\r\n", made once a second.
  std::string_view common_fields();
  std::string_view date();
  rt::Reactor& reactor() { return reactor_; }
  const Limits& limits() const { return options_.limits; }
  const ServerOptions& options() const { return options_; }
  Counters& counters() { return counters_; }

 private:
  struct Listening;
  friend class Connection;
  Task<void> accept_loop(std::shared_ptr<Listening> listening);
  Task<void> run_connection(int fd, std::shared_ptr<const Origin> origin);
  Task<void> run_protocol(rt::Stream& stream, std::shared_ptr<const Origin> origin);
  void refresh_date();
  template <class F>
  void each_connection(F f);

  rt::Reactor& reactor_;
  const ServerOptions& options_;
  Counters& counters_;
  Connection* connections_ = nullptr;
  std::map<Server::ListenerId, std::shared_ptr<Listening>> listening_;
  size_t running_ = 0;  // connections and accept loops that have not ended
  bool draining_ = false;
  int64_t second_ = -1;
  std::string date_, common_;
};

// Where a request came from.
struct Arrival {
  std::string peer;
  std::string local_port;
  bool secure = false;
};

// True for fields that the door writes itself, whatever a handler put there.
bool is_door_field(std::string_view name);
// A small plain-text answer of the door itself.
wire::HttpResponse plain_answer(uint16_t status, std::string_view text);
// Calls the handler and turns a failure into a 500 without details.
Task<wire::HttpResponse> answer(const Handler& handler, wire::HttpRequest& request);

}  // namespace virga::front
