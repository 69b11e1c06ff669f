// What a service stands on, over the reference engine and with a clock that the test moves; and a service called by
// operation name with the JSON of the wire. For tests.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/time.h"
#include "blob/blob.h"
#include "kernel/audit.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/elapsed_clock.h"
#include "kernel/target_delivery.h"
#include "kernel/timers.h"
#include "kernel/tokens.h"
#include "kernel/typed_json.h"
#include "kv/db.h"
#include "kv/test_store.h"
#include "wire/protocol.h"

namespace virga::kernel {

struct TestWorld {
  explicit TestWorld(blob::FileOptions blob_options = {})
      : blobs(blob::open_files(folder / "blobs", *db, blob_options)) {}

  kv::TempDir folder;
  ManualClock clock;
  ElapsedClock elapsed{clock};
  std::unique_ptr<kv::Db> db = kv::open_mem();
  std::unique_ptr<blob::Store> blobs;
  Timers timers{*db, elapsed};
  Tokens tokens{std::string(32, 'k')};
  Authorizer authorizer{IamMode::kEnforce};
  Audit audit{*db, clock};
  MetricRegistry metrics;
  Cloud cloud{clock, authorizer, audit, metrics};
  Deliveries deliveries{*db, elapsed, metrics};
  Targets targets{cloud, deliveries};
  Deps deps{*db, *blobs, clock, cloud, timers, deliveries, targets, tokens, folder.path()};

  Ctx as(Principal principal, std::string region = "us-east-1") {
    const std::string account = principal.account;
    Ctx ctx = cloud.internal_context(std::move(principal), account, std::move(region));
    ctx.base_url = "http://localhost:4566";
    return ctx;
  }
};

// One service, without authorisation, as the root of account 000000000000.
template <class S>
struct ServiceWorld : TestWorld {
  S service{deps};
  OpTable table{service};
  Ctx ctx = as(root_of("000000000000"));

  ServiceWorld() { service.operations(table); }

  const Operation& operation(std::string_view name) {
    for (const auto& op : table.operations()) {
      if (op->model->name == name) return *op;
    }
    throw std::runtime_error(cat("no operation ", name));
  }

  // The answer, or {"error": code, "message": …} with the error's members. ' stands for ".
  Json call(std::string_view name, std::string json) {
    for (char& c : json) c = c == '\'' ? '"' : c;
    return call_with(operation(name), Json::parse(json));
  }
  Json call_with(const Operation& op, const Json& input) {
    TypedValue in(op.model->input), out(op.model->output);
    const auto result = run([&]() -> Task<void> {
      wire::read_input(wire::Protocol::kJson11, *op.model, {}, input.dump(), {}, in.get());
      co_await op.run(ctx, in.get(), out.get());
    }());
    if (const Error* error = error_of(result)) {
      Json answer = error->members ? *error->members : Json::object();
      answer["error"] = error->shape->code;
      answer["message"] = error->message;
      return answer;
    }
    if (!result) return Json::object({{"error", describe(result.error())}});
    return op.model->output ? wire::to_json(*op.model->output, out.get()) : Json::object();
  }
};

}  // namespace virga::kernel
