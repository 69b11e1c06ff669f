// Executions over the reference engine, with a clock that the test moves and functions that the test plays.
#include "services/lambda/durable/executions.h"

#include <aws/lambda/errors.h>
#include <aws/lambda/model.h>
#include <gtest/gtest.h>

#include "base/async.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/test_world.h"
#include "kv/key.h"
#include "services/lambda/catalog.h"

namespace virga::lambda::durable {
namespace {

using std::chrono::days;
using std::chrono::seconds;

class NoService final : public kernel::Service {
 public:
  const wire::ServiceModel& model() const override { return kModel; }
  void operations(kernel::OpTable&) override {}
};

struct World final : kernel::TestWorld, Functions {
  Catalog catalog{*db};
  Executions executions{deps, *this};
  NoService service;
  kernel::OpTable table{service};
  kernel::Ctx ctx = as(kernel::root_of("000000000000"));
  const FunctionId function{"000000000000", "us-east-1", "f", "1"};
  std::shared_ptr<VersionRecord> version = std::make_shared<VersionRecord>();
  std::vector<Json> events;  // what the function was invoked with
  std::function<Task<std::string>(Json event)> play;
  int drains = 0;

  World() {
    version->version = 1;
    version->durable_timeout = 31'622'400;
    version->durable_retention = 2;
    executions.serve();
    executions.operations(table);
  }

  Task<Call> find_function(Ctx&, FunctionId id) override {
    Call call;
    call.id = id;
    call.version = version;
    co_return call;
  }
  Task<Answer> run_function(Ctx&, Call call) override {
    events.push_back(Json::parse(call.payload));
    Answer answer;
    const Json event = events.back();
    Result<std::string> played = co_await as_result(play(event));
    if (const Error* error = error_of(played)) {
      answer.function_error = "Unhandled";
      answer.payload = Json::object({{"errorMessage", error->message}}).dump();
    } else {
      answer.payload = *played;
    }
    co_return answer;
  }
  Task<std::optional<std::string>> policy_of(Ctx&, std::string) override { co_return std::nullopt; }
  Task<void> trace_function(Ctx&, Call&, std::string) override { co_return; }
  Task<std::vector<kernel::TargetDelivery>> letters_of(kv::Txn&, Ctx&, AsyncEvent, Attempted, std::string,
                                                       uint64_t) override {
    co_return std::vector<kernel::TargetDelivery>{};
  }
  Task<void> drained(kv::Txn&, Home, std::string, uint64_t) override {
    ++drains;
    co_return;
  }

  template <class Op>
  Task<typename Op::Output> call(typename Op::Input in) {
    const kernel::Operation* found = nullptr;
    for (const auto& each : table.operations()) {
      if (each->model == &Op::model()) found = each.get();
    }
    typename Op::Output out{};
    co_await found->run(ctx, &in, &out);
    co_return out;
  }
  Task<CheckpointDurableExecutionResponse> checkpoint(const Json& event, const std::string& token,
                                                      std::vector<OperationUpdate> updates) {
    CheckpointDurableExecutionRequest in;
    in.durable_execution_arn = event.string_or("DurableExecutionArn");
    in.checkpoint_token = token;
    in.updates = std::move(updates);
    return call<op::CheckpointDurableExecution>(std::move(in));
  }
  Task<GetDurableExecutionResponse> get(std::string arn) { return call<op::GetDurableExecution>({std::move(arn)}); }
  Task<std::string> begin() {
    Call call;
    call.id = function;
    call.version = version;
    const InvocationResponse out =
        co_await executions.invoke(ctx, std::move(call), "{}", std::nullopt, InvocationType::Event);
    co_return *out.durable_execution_arn;
  }
  Task<lambda::ExecutionStatus> ended(std::string arn) {
    for (int i = 0; i < 500; ++i) {
      const auto now = co_await get(arn);
      if (now.status != lambda::ExecutionStatus::RUNNING) co_return now.status;
      co_await sleep_for(Millis(10));
    }
    co_return lambda::ExecutionStatus::RUNNING;
  }
  Task<void> invoked(size_t count) {
    for (int i = 0; i < 500 && events.size() < count; ++i) co_await sleep_for(Millis(10));
    EXPECT_EQ(events.size(), count);
  }

  void run_with(std::function<Task<void>(World&)> body) {
    const auto done = virga::run([](World& w, std::function<Task<void>(World&)> test) -> Task<void> {
      co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
        WriteStore(tx, w.function.home(), w.catalog).put_version("f", *w.version);
        co_return;
      });
      w.timers.start();
      co_await w.deliveries.start();
      co_await test(w);
      co_await w.deliveries.stop();
      co_await w.timers.stop();
    }(*this, std::move(body)));
    EXPECT_TRUE(done) << (done ? "" : virga::describe(done.error()));
  }
};

OperationUpdate start_of(std::string id, OperationType type) {
  OperationUpdate update;
  update.id = std::move(id);
  update.type = type;
  update.action = OperationAction::START;
  return update;
}
OperationUpdate wait_of(std::string id, int32_t time) {
  OperationUpdate update = start_of(std::move(id), OperationType::WAIT);
  update.wait_options = WaitOptions{time};
  return update;
}
OperationUpdate end_of(std::string id, OperationType type, std::string payload) {
  OperationUpdate update = start_of(std::move(id), type);
  update.action = OperationAction::SUCCEED;
  update.payload = std::move(payload);
  return update;
}
const Json& operations_of(const Json& event) { return *event.find("InitialExecutionState")->find("Operations"); }

// A wait of a year less a day ends with its time, and what has ended goes with its retention, all of it.
TEST(DurableExecutions, WaitAYearAndGo) {
  World w;
  w.play = [&](Json event) -> Task<std::string> {
    if (w.events.size() == 1) {
      co_await w.checkpoint(event, event.string_or("CheckpointToken"), {wait_of("w", 365 * 86'400)});
      co_return R"({"Status":"PENDING"})";
    }
    co_return R"({"Status":"SUCCEEDED","Result":"1"})";
  };
  w.run_with([](World& w) -> Task<void> {
    inject_conflicts(*w.db, 3);
    const std::string arn = co_await w.begin();
    co_await w.invoked(1);
    w.clock.advance(days(365) - seconds(1));
    co_await sleep_for(Millis(600));
    EXPECT_EQ(w.events.size(), 1u);
    w.clock.advance(seconds(2));
    EXPECT_EQ(co_await w.ended(arn), lambda::ExecutionStatus::SUCCEEDED);
    EXPECT_EQ(operations_of(w.events[1]).as_array()[1].string_or("Status"), "SUCCEEDED");
    EXPECT_EQ(w.events[1].find("UpdatedOperationIds")->dump(), R"(["w"])");
    EXPECT_EQ(w.drains, 1);
    w.clock.advance(days(2));
    const std::string prefix = std::move(kv::KeyWriter("durable")).take();
    for (int i = 0; i < 500; ++i) {
      if ((co_await w.db->snapshot()->scan(kv::prefix_range(prefix))).empty()) break;
      co_await sleep_for(Millis(10));
    }
    EXPECT_TRUE((co_await w.db->snapshot()->scan(kv::prefix_range(prefix))).empty());
    const std::string timers = std::move(kv::KeyWriter("tmr")).take();
    EXPECT_TRUE((co_await w.db->snapshot()->scan(kv::prefix_range(timers))).empty());
    const auto gone = co_await as_result(w.get(arn));
    EXPECT_EQ(error_of(gone)->shape->code, "ResourceNotFoundException");
  });
}

TEST(DurableExecutions, TimeOutAtTheExecutionsOwnLimit) {
  World w;
  w.version->durable_timeout = 10;
  w.play = [&](Json event) -> Task<std::string> {
    co_await w.checkpoint(event, event.string_or("CheckpointToken"), {wait_of("w", 11)});
    co_return R"({"Status":"PENDING"})";
  };
  w.run_with([](World& w) -> Task<void> {
    const std::string arn = co_await w.begin();
    co_await w.invoked(1);
    w.clock.advance(seconds(10));
    EXPECT_EQ(co_await w.ended(arn), lambda::ExecutionStatus::TIMED_OUT);
    w.clock.advance(seconds(10));
    co_await sleep_for(Millis(600));
    EXPECT_EQ(w.events.size(), 1u);
  });
}

// An invocation that fails is made again, later each time; what the one before still says is not heard.
TEST(DurableExecutions, FailedInvocationsComeAgain) {
  World w;
  std::string old;
  w.play = [&](Json event) -> Task<std::string> {
    const std::string token = event.string_or("CheckpointToken");
    if (w.events.size() == 1) {
      old = token;
      co_await w.checkpoint(event, token, {start_of("s", OperationType::STEP)});
    }
    if (w.events.size() < 3) co_return err::ServiceException("crashed");
    const auto late = co_await as_result(w.checkpoint(event, old, {}));
    EXPECT_EQ(error_of(late)->message, "Invalid Checkpoint Token");
    EXPECT_EQ(operations_of(event).as_array()[1].string_or("Status"), "STARTED");
    co_await w.checkpoint(event, token, {end_of("s", OperationType::STEP, "1")});
    co_return R"({"Status":"SUCCEEDED"})";
  };
  w.run_with([](World& w) -> Task<void> {
    const std::string arn = co_await w.begin();
    for (size_t i = 1; i <= 3; ++i) {
      co_await w.invoked(i);
      co_await sleep_for(Millis(20));
      w.clock.advance(seconds(5));
      w.deliveries.clock_moved();
    }
    EXPECT_EQ(co_await w.ended(arn), lambda::ExecutionStatus::SUCCEEDED);
    GetDurableExecutionHistoryRequest in;
    in.durable_execution_arn = arn;
    in.include_execution_data = true;
    int failures = 0;
    for (const lambda::Event& event : (co_await w.call<op::GetDurableExecutionHistory>(in)).events) {
      if (event.invocation_completed_details && event.invocation_completed_details->error) {
        EXPECT_EQ(event.invocation_completed_details->error->payload->error_message, "crashed");
        ++failures;
      }
    }
    EXPECT_EQ(failures, 2);
  });
}

// What lies in a finished context is left out, unless it asked to be replayed; also when the state comes in pages.
TEST(DurableExecutions, FinishedContextsHideWhatTheyHold) {
  World w;
  const auto within = [](std::string parent, OperationUpdate update) {
    update.parent_id = std::move(parent);
    return update;
  };
  w.play = [&](Json event) -> Task<std::string> {
    std::string token = event.string_or("CheckpointToken");
    if (w.events.size() == 1) {
      auto kept = end_of("kept", OperationType::CONTEXT, "r");
      kept.context_options = ContextOptions{true};
      auto out =
          co_await w.checkpoint(event, token,
                                {start_of("kept", OperationType::CONTEXT), start_of("gone", OperationType::CONTEXT),
                                 within("kept", end_of("a", OperationType::STEP, "a")),
                                 within("gone", start_of("inner", OperationType::CONTEXT)),
                                 within("inner", end_of("b", OperationType::STEP, "b")),
                                 within("gone", end_of("c", OperationType::STEP, "c")), kept});
      out = co_await w.checkpoint(event, *out.checkpoint_token, {end_of("gone", OperationType::CONTEXT, "r")});
      co_await w.checkpoint(event, *out.checkpoint_token, {wait_of("w", 1)});
      co_return R"({"Status":"PENDING"})";
    }
    std::vector<std::string> ids;
    for (const Json& operation : operations_of(event).as_array()) ids.push_back(operation.string_or("Id"));
    ids.erase(ids.begin());
    EXPECT_EQ(ids, (std::vector<std::string>{"kept", "gone", "a", "w"}));
    ids.clear();
    GetDurableExecutionStateRequest in;
    in.durable_execution_arn = event.string_or("DurableExecutionArn");
    in.checkpoint_token = token;
    in.max_items = 2;
    do {
      const auto page = co_await w.call<op::GetDurableExecutionState>(in);
      for (const lambda::Operation& operation : page.operations) ids.push_back(operation.id);
      in.marker = page.next_marker;
    } while (!in.marker->empty());
    ids.erase(ids.begin());
    EXPECT_EQ(ids, (std::vector<std::string>{"kept", "gone", "a", "w"}));
    co_return R"({"Status":"SUCCEEDED"})";
  };
  w.run_with([](World& w) -> Task<void> {
    const std::string arn = co_await w.begin();
    co_await w.invoked(1);
    w.clock.advance(seconds(1));
    EXPECT_EQ(co_await w.ended(arn), lambda::ExecutionStatus::SUCCEEDED);
  });
}

}  // namespace
}  // namespace virga::lambda::durable
