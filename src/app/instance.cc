#include "app/instance.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "app/command.h"
#include "app/services.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "blob/blob.h"
#include "front/cors.h"
#include "front/serve.h"
#include "front/server.h"
#include "kernel/audit.h"
#include "kernel/cloud.h"
#include "kernel/delivery.h"
#include "kernel/outbox.h"
#include "kernel/target_delivery.h"
#include "kernel/timers.h"
#include "kernel/tokens.h"
#include "kv/db.h"
#include "kv/record.h"
#include "rt/reactor.h"
#include "rt/tls.h"
#include "sandbox/sandbox.h"
#include "services/events/api.h"
#include "services/sqs/api.h"

namespace virga::app {
namespace fs = std::filesystem;
namespace {

// What a start after a kill reads again: seven milliseconds a megabyte of small rows.
constexpr size_t kMemtableBytes = 8 << 20;

constexpr Millis kStopGrace{10'000};
constexpr const char* kRootAccount = "000000000000";

// Holds the data folder for this process; the file says who has it.
class DataLock {
 public:
  explicit DataLock(const std::string& data) {
    const std::string path = cat(data, "/lock");
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) throw CommandError(cat("the data folder ", data, " can't be written; give another with --data"));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      std::string owner(32, '\0');
      const ssize_t n = ::pread(fd_, owner.data(), owner.size(), 0);
      owner.resize(n > 0 ? static_cast<size_t>(n) : 0);
      throw CommandError(cat("the data folder ", data, " is in use by another Virga (process ", trim(owner),
                             "); stop it with virga down, or give another folder with --data"));
    }
    const std::string pid = cat(::getpid(), "\n");
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) {
      throw CommandError(cat("the data folder ", data, " can't be written: is the disk full?"));
    }
  }
  ~DataLock() { ::close(fd_); }

 private:
  int fd_;
};

void check(const Settings& settings) {
  if (!is_loopback(settings.host) && settings.root_access_key.empty()) {
    throw CommandError(cat("on ", settings.host.empty() ? "every address" : settings.host,
                           " others can reach Virga, so the well-known key test/test is refused; set "
                           "VIRGA_ROOT_ACCESS_KEY_ID and VIRGA_ROOT_SECRET_ACCESS_KEY, or listen on 127.0.0.1"));
  }
  if (settings.tls_certificate.empty() != settings.tls_key.empty()) {
    throw CommandError("TLS needs both --tls-certificate and --tls-key");
  }
}

// A failure of start-up as one sentence.
template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result) throw CommandError(cat(what, ": ", describe(result.error())));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

wire::HttpResponse answer(std::string type, std::string body) {
  wire::HttpResponse response;
  response.headers.set("content-type", type);
  response.body = std::move(body);
  return response;
}

}  // namespace

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

// Members are made top to bottom and end bottom to top.
struct Instance::Parts {
  explicit Parts(Settings s)
      : settings(std::move(s)),
        lock(settings.data),
        reactors(settings.threads),
        sandboxes(sandbox::open({.state_directory = cat(settings.data, "/run"),
                                 .node_modules = settings.node_modules,
                                 .runtimes = settings.runtimes,
                                 .outside = settings.functions_reach_outside,
                                 .control_port = settings.port,
                                 .adopt_listener = [this](int fd) { return adopt(fd); },
                                 .clock = &clock})),
        db(kv::open_rocks({.directory = cat(settings.data, "/store"),
                           .cache_bytes = settings.cache_bytes,
                           .memtable_bytes = kMemtableBytes})),
        blobs(blob::open_files(cat(settings.data, "/blobs"), *db)),
        tokens(must(run(kernel::Tokens::load_key(*db)), "the store's secret key")),
        authorizer(settings.iam),
        audit(*db, clock),
        cloud(clock, authorizer, audit, metrics),
        timers(*db, elapsed),
        deliveries(*db, elapsed, metrics),
        targets(cloud, deliveries),
        deps{*db, *blobs, clock, cloud, timers, deliveries, targets, tokens, settings.data} {
    targets.serve();
    ServiceOptions options;
    options.functions = settings.functions;
    options.elapsed = &elapsed;
    reactors.each([&](rt::Reactor& reactor) { options.executors.push_back(&reactor); });
    options.iam.development_key = is_loopback(settings.host) && settings.root_access_key.empty();
    if (!settings.root_access_key.empty()) {
      options.iam.root_keys.push_back({settings.root_access_key, settings.root_secret_key, kRootAccount});
    }
    add_services(deps, *sandboxes, options);
    audit.set_listener(&events::trail_of(*cloud.find_service("events")));
    front::ServeLimits limits;
    limits.body = settings.body_limit;
    door.emplace(cloud, limits);
    front::ServerOptions server_options;
    server_options.clock = &clock;
    server.emplace(reactors, server_options);
    handlers.request = [this](wire::HttpRequest& request) { return door->serve(request, front::Door::From::kOutside); };
    function_handlers.request = [this](wire::HttpRequest& request) {
      return door->serve(request, front::Door::From::kFunction);
    };
  }

  std::function<void()> adopt(int fd) {
    // The server closes its sockets; this one is the sandbox's.
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
      log_error("app", "a function will not reach Virga: no file descriptor is left");
      return {};
    }
    const auto id = server->add_listener(own, reactors.next(), function_handlers);
    return [this, id] { server->remove_listener(id); };
  }

  void add_locals();
  Task<wire::HttpResponse> answer_text(std::string number, std::string text);

  const Settings settings;
  DataLock lock;
  SystemClock clock;
  kernel::ElapsedClock elapsed{clock, kernel::ElapsedClock::since_boot};
  MetricRegistry metrics;
  rt::Reactors reactors;  // their threads start later; to the store's and the sandboxes' threads they stay
  std::unique_ptr<sandbox::Sandboxes> sandboxes;
  std::unique_ptr<kv::Db> db;
  std::unique_ptr<blob::Store> blobs;
  kernel::Tokens tokens;
  kernel::Authorizer authorizer;
  kernel::Audit audit;
  kernel::Cloud cloud;
  kernel::Timers timers;
  kernel::Deliveries deliveries;
  kernel::Targets targets;
  kernel::Deps deps;
  std::optional<front::Door> door;
  std::optional<front::Server> server;
  front::Handlers handlers, function_handlers;
  bool started = false;
};

// What a person sees who opens the address in a browser.
constexpr std::string_view kWelcome = "Virga " VIRGA_VERSION
                                      ": a serverless cloud in one program. It speaks AWS's protocols.\n"
                                      "\n"
                                      "This address is the endpoint of every service: give it to any AWS client.\n"
                                      "\n"
                                      "  eval $(virga env)                       a shell: endpoint, region, key\n"
                                      "  aws --endpoint-url URL s3 ls            the aws command line\n"
                                      "  boto3.client('s3', endpoint_url=URL)    Python\n"
                                      "  new S3Client({ endpoint: URL })         JavaScript\n"
                                      "\n"
                                      "What you deploy is reached here too, by host or by path.\n"
                                      "\n"
                                      "  virga deploy FOLDER                     deploys FOLDER/template.yaml\n"
                                      "  http://ID.execute-api.localhost:PORT/   an HTTP API by its name\n"
                                      "  URL/_aws/execute-api/ID/                the same without names\n"
                                      "\n"
                                      "What there is to know:\n"
                                      "\n"
                                      "  virga services                          which operations are served\n"
                                      "  virga doctor                            what this machine gives\n"
                                      "  virga logs NAME --follow                what a function says\n"
                                      "  URL/_virga/health, URL/_virga/metrics   for machines\n"
                                      "  virga --help                            everything else\n";

// What a person answers to the last text message that went to their number.
Task<wire::HttpResponse> Instance::Parts::answer_text(std::string number, std::string text) {
  auto sent = co_await kernel::read_outbox(*db->snapshot(), number, kernel::kOutboxKept);
  std::erase_if(sent, [](const kernel::OutboxItem& item) { return item.kind != "sms"; });
  if (sent.empty() || number.empty() || text.empty()) {
    wire::HttpResponse response = answer("text/plain", "No text message went to that number, or there is no answer.\n");
    response.status = 404;
    co_return response;
  }
  kernel::OutboxItem& reply = sent.front();
  reply.body = text;
  co_await db->transact([&](kv::Txn& tx) -> Task<void> {
    deliveries.enqueue(tx, {.kind = kernel::reply_kind(reply.service),
                            .lane = number,
                            .group = number,
                            .payload = kv::encode(reply),
                            .not_before = {},
                            .id = {}});
    co_return;
  });
  co_return answer("application/json", Json::object({{"From", number}, {"Body", text}}).dump());
}

void Instance::Parts::add_locals() {
  // Others learn that Virga is well; what it holds and where is for this machine.
  const auto from_here = [](const wire::HttpRequest& request) {
    return is_loopback(request.peer) || request.peer.starts_with("::ffff:127.");
  };
  Json services = Json::array();
  for (const auto& service : cloud.services()) services.push_back(service->model().id);
  const std::string whole = Json::object({{"status", "ready"},
                                          {"version", VIRGA_VERSION},
                                          {"pid", ::getpid()},
                                          {"data", settings.data},
                                          {"services", std::move(services)}})
                                .dump();
  const std::string for_others = Json::object({{"status", "ready"}, {"version", VIRGA_VERSION}}).dump();
  door->add_local("/_virga/health", [=](const wire::HttpRequest& request) -> Task<wire::HttpResponse> {
    co_return answer("application/json", from_here(request) ? whole : for_others);
  });
  door->add_local("/", [](const wire::HttpRequest& request) -> Task<wire::HttpResponse> {
    // DynamoDB's own hosts tell health checks their name; ours tells people how to begin.
    const std::string_view host = request.host();
    wire::HttpResponse response =
        answer("text/plain; charset=utf-8",
               host.starts_with("dynamodb.") ? cat("healthy: ", host, " ") : std::string(kWelcome));
    front::allow_origin(request, nullptr, response);
    co_return response;
  });
  const auto refused = [](std::string why) {
    wire::HttpResponse response = answer("text/plain", std::move(why));
    response.status = 403;
    return response;
  };
  door->add_local(
      "/_virga/outbox", [this, from_here, refused](const wire::HttpRequest& request) -> Task<wire::HttpResponse> {
        if (!from_here(request))
          co_return refused("What was sent to people is for this machine: ask on a loopback address.\n");
        // ?to=<address>&limit=<number>; POST ?to=<number>&reply=<text> answers the last text message there.
        std::string to, reply;
        size_t limit = 100;
        for (const std::string_view part : split(request.query, '&')) {
          const auto [name, value] = split_once(part, '=');
          if (name == "to") to = percent_decode(value, false).value_or("");
          if (name == "reply") reply = percent_decode(value, false).value_or("");
          if (name == "limit")
            limit = static_cast<size_t>(std::clamp<int64_t>(parse_int(value).value_or(100), 1, kernel::kOutboxKept));
        }
        if (request.method == "POST") {
          if (request.headers.has("origin")) co_return refused("Web pages answer no messages.\n");
          co_return co_await answer_text(to, reply);
        }
        const auto snapshot = db->snapshot();
        co_return answer("application/json",
                         kernel::outbox_json(co_await kernel::read_outbox(*snapshot, to, limit)).dump());
      });
  door->add_local(
      "/_virga/metrics", [this, from_here, refused](const wire::HttpRequest& request) -> Task<wire::HttpResponse> {
        if (!from_here(request))
          co_return refused("Metrics are for this machine: scrape them on a loopback address.\n");
        const kv::Db::Stats store = db->stats();
        const front::ServerStats connections = server->stats();
        metrics.gauge("virga_store_commits", "Commits since the start").set(static_cast<int64_t>(store.commits));
        metrics.gauge("virga_store_conflicts", "Commits that had to run again")
            .set(static_cast<int64_t>(store.conflicts));
        metrics.gauge("virga_store_syncs", "Disk syncs since the start").set(static_cast<int64_t>(store.syncs));
        metrics.gauge("virga_store_disk_bytes", "Size of the store on disk")
            .set(static_cast<int64_t>(store.disk_bytes));
        metrics.gauge("virga_store_memory_bytes", "Memory that the store holds")
            .set(static_cast<int64_t>(store.memory_bytes));
        metrics.gauge("virga_connections", "Open connections").set(static_cast<int64_t>(connections.connections));
        metrics.gauge("virga_requests", "HTTP requests since the start")
            .set(static_cast<int64_t>(connections.requests));
        co_return answer("text/plain; version=0.0.4", metrics.render());
      });
}

Instance::Instance(Settings settings) {
  check(settings);
  std::error_code error;
  const bool made = fs::create_directories(settings.data, error);
  if (error) throw CommandError(cat("the data folder ", settings.data, " can't be made: ", error.message()));
  settings.data = fs::canonical(settings.data).string();
  // It holds secrets, so nobody else may look in; a folder that was there before may have other uses, and keeps its
  // mode.
  if (made) fs::permissions(settings.data, fs::perms::owner_all, error);
  for (const char* part : {"store", "blobs"}) {
    fs::create_directories(cat(settings.data, "/", part), error);
    fs::permissions(cat(settings.data, "/", part), fs::perms::owner_all, error);
  }
  parts_ = std::make_unique<Parts>(std::move(settings));
}

uint16_t Instance::start() {
  Parts& p = *parts_;
  p.add_locals();
  p.reactors.start();
  p.started = true;
  must(rt::run_on(p.reactors[0],
                  [](Parts& parts) -> Task<void> {
                    parts.audit.start();
                    co_await parts.cloud.start();
                    parts.timers.start();
                    co_await parts.deliveries.start();
                  }(p)),
       "a service could not start");
  std::shared_ptr<rt::TlsServer> tls;
  if (!p.settings.tls_certificate.empty()) {
    tls = std::make_shared<rt::TlsServer>(
        rt::Certificate{read_file(p.settings.tls_certificate), read_file(p.settings.tls_key)});
  }
  return p.server->listen(p.settings.host, p.settings.port, p.handlers, tls);
}

bool Instance::stop() {
  Parts& p = *parts_;
  if (!p.started) return true;
  p.started = false;
  if (kernel::Service* queues = p.cloud.find_service("sqs")) sqs::end_waiting(*queues);
  const bool clean = p.server->stop(kStopGrace);
  const Result<void> ended = rt::run_on(p.reactors[0], [](Parts& parts) -> Task<void> {
    co_await parts.timers.stop();
    co_await parts.deliveries.stop(kStopGrace);
    co_await parts.cloud.stop();
    co_await parts.sandboxes->stop();
    co_await parts.audit.stop();
  }(p));
  if (!ended) log_error("app", "stopping failed", {{"error", describe(ended.error())}});
  p.reactors.stop();
  p.reactors.close();  // while everything is there that unfinished work refers to
  return clean && ended;
}

Instance::~Instance() {
  if (parts_) stop();
}

}  // namespace virga::app
