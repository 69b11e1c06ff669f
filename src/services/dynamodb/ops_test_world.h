// A DynamoDB over the reference engine, called by operation name with the JSON of the wire.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/time.h"
#include "blob/blob.h"
#include "kernel/audit.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/deps.h"
#include "kernel/target_delivery.h"
#include "kernel/timers.h"
#include "kernel/tokens.h"
#include "kv/db.h"
#include "services/dynamodb/service.h"
#include "wire/protocol.h"

namespace virga::dynamodb {

struct World {
  ManualClock clock;
  std::unique_ptr<kv::Db> db = kv::open_mem();
  std::unique_ptr<blob::Store> blobs = blob::open_files(testing::TempDir() + "dynamodb_blobs", *db);
  kernel::Timers timers{*db, clock};
  kernel::Tokens tokens{std::string(32, 'k')};
  kernel::Authorizer authorizer{kernel::IamMode::kEnforce};
  kernel::Audit audit{*db, clock};
  MetricRegistry metrics;
  kernel::Cloud cloud{clock, authorizer, audit, metrics};
  kernel::Deliveries deliveries{*db, clock, metrics};
  kernel::Targets targets{cloud, deliveries};
  kernel::Deps deps{*db, *blobs, clock, cloud, timers, deliveries, targets, tokens, testing::TempDir()};
  DynamoService service{deps};
  kernel::OpTable table{service};
  kernel::Ctx ctx;

  World() {
    service.operations(table);
    ctx.principal = kernel::root_of("000000000000");
    ctx.account = "000000000000";
    ctx.region = "us-east-1";
    ctx.clock = &clock;
    ctx.base_url = "http://localhost:4566";
  }

  const kernel::Operation& operation(std::string_view name) {
    for (const auto& op : table.operations()) {
      if (op->model->name == name) return *op;
    }
    throw std::runtime_error(cat("no operation ", name));
  }

  // The answer, or {"error": code, "message": …} with the error's members. ' stands for ".
  Json call(std::string_view name, std::string json) {
    for (char& c : json) c = c == '\'' ? '"' : c;
    const kernel::Operation& op = operation(name);
    Value in(op.model->input), out(op.model->output);
    const auto result = run([&]() -> Task<void> {
      wire::from_json(*op.model->input, Json::parse(json), in.at);
      co_await op.run(ctx, in.at, out.at);
    }());
    if (const Error* error = error_of(result)) {
      Json answer = error->members ? *error->members : Json::object();
      answer["error"] = error->shape->code;
      answer["message"] = error->message;
      return answer;
    }
    if (!result) return Json::object({{"error", describe(result.error())}});
    return op.model->output ? wire::to_json(*op.model->output, out.at) : Json::object();
  }
  // As text, with ' for ".
  std::string text(std::string_view name, std::string json) {
    std::string out = call(name, std::move(json)).dump();
    for (char& c : out) c = c == '"' ? '\'' : c;
    return out;
  }
  std::string message(std::string_view name, std::string json) {
    return call(name, std::move(json)).string_or("message", "no error");
  }

 private:
  // An operation without output still has an empty struct to write.
  struct Value {
    const wire::Shape* shape;
    void* at;
    explicit Value(const wire::Shape* s) : shape(s), at(::operator new(s ? s->structure->size : 1)) {
      if (shape) shape->structure->construct(at);
    }
    ~Value() {
      if (shape) shape->structure->destroy(at);
      ::operator delete(at);
    }
  };
};

}  // namespace virga::dynamodb
