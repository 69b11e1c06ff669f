// Accounts that open their queues, topics and buses to each other by resource policies: the services together over the
// reference engine, called as principals of three accounts.
#include <aws/events/ops.h>
#include <aws/iam/ops.h>
#include <aws/sns/ops.h>
#include <aws/sqs/ops.h>
#include <gtest/gtest.h>

#include "base/str.h"
#include "kernel/test_world.h"
#include "services/events/api.h"
#include "services/iam/api.h"
#include "services/sns/api.h"
#include "services/sqs/api.h"

namespace virga::app {
namespace {

const std::string kOwner = "111111111111", kFriend = "222222222222", kStranger = "333333333333";

std::string statement(std::string_view principal, std::string_view action, std::string_view resource) {
  return cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":)", principal, R"(,"Action":")",
             action, R"(","Resource":")", resource, R"("}]})");
}
std::string account(std::string_view id) { return cat(R"({"AWS":"arn:aws:iam::)", id, R"(:root"})"); }
std::string service(std::string_view name) { return cat(R"({"Service":")", name, R"(.amazonaws.com"})"); }

struct World : kernel::TestWorld {
  kernel::IdentitySource* identities = nullptr;

  World() {
    targets.serve();
    iam::Iam identity = iam::make_iam(deps, {});
    identities = &identity.directory;
    authorizer.set_identity_source(identities);
    cloud.add(std::move(identity.service));
    auto queues = sqs::make_sqs(deps);
    cloud.add(sns::make_sns(deps, sqs::post_of(*queues)));
    cloud.add(std::move(queues));
    cloud.add(events::make_events(deps));
  }

  // The result of a call as the account's root.
  template <class Op>
  Task<typename Op::Output> call(std::string id, typename Op::Input in) {
    kernel::Ctx ctx = as(kernel::root_of(id));
    co_return co_await cloud.call<Op>(ctx, std::move(in));
  }
  // "yes", or the code of the error.
  template <class Op>
  Task<std::string> may(kernel::Principal principal, typename Op::Input in) {
    kernel::Ctx ctx = as(std::move(principal));
    const auto result = co_await as_result(cloud.call<Op>(ctx, std::move(in)));
    if (result) co_return "yes";
    const Error* error = error_of(result);
    co_return error ? std::string(error->shape->code) : describe(result.error());
  }
  template <class Op>
  Task<std::string> may(std::string id, typename Op::Input in) {
    co_return co_await may<Op>(kernel::root_of(id), std::move(in));
  }

  // A user of the account who may do what the policy says; none when it is empty.
  Task<kernel::Principal> user(std::string id, std::string name, std::string policy) {
    co_await call<iam::op::CreateUser>(id, {.user_name = name});
    if (!policy.empty()) {
      co_await call<iam::op::PutUserPolicy>(id, {.user_name = name, .policy_name = "p", .policy_document = policy});
    }
    const auto key = co_await call<iam::op::CreateAccessKey>(id, {.user_name = name});
    const auto found = co_await identities->find_credential(key.access_key.access_key_id, "");
    co_return found->principal;
  }
  Task<std::string> queue(std::string id, std::string name, std::string policy = "") {
    sqs::CreateQueueRequest in{.queue_name = name};
    if (!policy.empty()) in.attributes = {{"Policy", policy}};
    co_return *(co_await call<sqs::op::CreateQueue>(id, std::move(in))).queue_url;
  }
  // The body of the queue's next message; nothing when none comes in time.
  Task<std::string> next(std::string id, std::string url) {
    for (int i = 0; i < 200; ++i) {
      const auto got = co_await call<sqs::op::ReceiveMessage>(id, {.queue_url = url});
      if (got.messages && !got.messages->empty()) co_return got.messages->front().body.value_or("");
      co_await sleep_for(Millis(10));
    }
    co_return "";
  }
};

template <class F>
void with_world(F body) {
  World w;
  const auto done = run([](World& w, F& body) -> Task<void> {
    co_await w.deliveries.start();
    co_await body(w);
    co_await w.deliveries.stop();
  }(w, body));
  EXPECT_TRUE(done) << describe(done.error());
}

constexpr const char* kEverything =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})";

TEST(Accounts, AQueueTakesMessagesOfTheAccountsInItsPolicy) {
  with_world([](World& w) -> Task<void> {
    const std::string url = co_await w.queue(kOwner, "q");
    const std::string arn = cat("arn:aws:sqs:us-east-1:", kOwner, ":q");
    const sqs::SendMessageRequest message{.queue_url = url, .message_body = "m"};
    const auto trusted = co_await w.user(kFriend, "trusted", kEverything);
    const auto nobody = co_await w.user(kFriend, "nobody", "");
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(kFriend, message), "AccessDeniedException");
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(trusted, message), "AccessDeniedException");
    co_await w.call<sqs::op::SetQueueAttributes>(
        kOwner, {.queue_url = url, .attributes = {{"Policy", statement(account(kFriend), "sqs:SendMessage", arn)}}});
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(kFriend, message), "yes");
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(trusted, message), "yes");
    // The other account hands on what it was given; its users have nothing of it by themselves.
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(nobody, message), "AccessDeniedException");
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(kStranger, message), "AccessDeniedException");
    EXPECT_EQ(co_await w.may<sqs::op::ReceiveMessage>(kFriend, {.queue_url = url}), "AccessDeniedException");
    EXPECT_EQ(co_await w.may<sqs::op::DeleteQueue>(kFriend, {.queue_url = url}), "AccessDeniedException");
    EXPECT_EQ(co_await w.next(kOwner, url), "m");
    // A queue of the same name is another's.
    const std::string own = co_await w.queue(kFriend, "q");
    EXPECT_NE(own, url);
    EXPECT_EQ(co_await w.may<sqs::op::SendMessage>(kFriend, {.queue_url = own, .message_body = "own"}), "yes");
    EXPECT_EQ(co_await w.next(kFriend, own), "own");
  });
}

TEST(Accounts, ATopicIsPublishedToAndSubscribedToAsItsPolicySays) {
  with_world([](World& w) -> Task<void> {
    const std::string topic = *(co_await w.call<sns::op::CreateTopic>(kOwner, {.name = "t"})).topic_arn;
    const std::string url = co_await w.queue(
        kFriend, "q", statement(service("sns"), "sqs:SendMessage", cat("arn:aws:sqs:us-east-1:", kFriend, ":q")));
    const sns::SubscribeInput subscribe{.topic_arn = topic,
                                        .protocol = "sqs",
                                        .endpoint = cat("arn:aws:sqs:us-east-1:", kFriend, ":q"),
                                        .attributes = {{{"RawMessageDelivery", "true"}}},
                                        .return_subscription_arn = true};
    const sns::PublishInput publish{.topic_arn = topic, .message = "m"};
    EXPECT_EQ(co_await w.may<sns::op::Publish>(kFriend, publish), "AuthorizationError");
    EXPECT_EQ(co_await w.may<sns::op::Subscribe>(kFriend, subscribe), "AuthorizationError");
    co_await w.call<sns::op::AddPermission>(
        kOwner,
        {.topic_arn = topic, .label = "l", .aws_account_id = {kFriend}, .action_name = {"Publish", "Subscribe"}});
    EXPECT_EQ(co_await w.may<sns::op::Publish>(kStranger, publish), "AuthorizationError");
    // Its own queue, so there is nobody to ask.
    EXPECT_EQ(co_await w.may<sns::op::Subscribe>(kFriend, subscribe), "yes");
    EXPECT_EQ(co_await w.may<sns::op::Publish>(kFriend, publish), "yes");
    EXPECT_EQ(co_await w.next(kFriend, url), "m");
    EXPECT_EQ(co_await w.may<sns::op::DeleteTopic>(kFriend, {.topic_arn = topic}), "AuthorizationError");
    co_await w.call<sns::op::RemovePermission>(kOwner, {.topic_arn = topic, .label = "l"});
    EXPECT_EQ(co_await w.may<sns::op::Publish>(kFriend, publish), "AuthorizationError");
  });
}

TEST(Accounts, EventsCrossFromBusToBusAsThePolicySays) {
  with_world([](World& w) -> Task<void> {
    const std::string bus = *(co_await w.call<events::op::CreateEventBus>(kOwner, {.name = "b"})).event_bus_arn;
    const std::string url = co_await w.queue(
        kOwner, "q", statement(service("events"), "sqs:SendMessage", cat("arn:aws:sqs:us-east-1:", kOwner, ":q")));
    co_await w.call<events::op::PutRule>(
        kOwner, {.name = "r", .event_pattern = R"({"source":["shop"]})", .event_bus_name = "b"});
    events::Target target;
    target.id = "1";
    target.arn = cat("arn:aws:sqs:us-east-1:", kOwner, ":q");
    target.input_path = "$.account";
    co_await w.call<events::op::PutTargets>(kOwner, {.rule = "r", .event_bus_name = "b", .targets = {target}});

    events::PutEventsRequest put;
    put.entries = {{.source = "shop", .detail_type = "Order", .detail = "{}", .event_bus_name = bus}};
    EXPECT_EQ(co_await w.may<events::op::PutEvents>(kFriend, put), "AccessDeniedException");
    co_await w.call<events::op::PutPermission>(
        kOwner, {.event_bus_name = "b", .action = "events:PutEvents", .principal = kFriend, .statement_id = "s"});
    EXPECT_EQ(co_await w.may<events::op::PutEvents>(kStranger, put), "AccessDeniedException");
    EXPECT_EQ(co_await w.may<events::op::PutEvents>(kFriend, put), "yes");
    EXPECT_EQ(co_await w.next(kOwner, url), cat('"', kFriend, '"'));

    // A rule of the other account passes its events on to the bus, and no stranger's does.
    target.arn = bus;
    target.input_path = std::nullopt;
    for (const std::string& id : {kStranger, kFriend}) {
      co_await w.call<events::op::PutRule>(id, {.name = "r", .event_pattern = R"({"source":["shop"]})"});
      co_await w.call<events::op::PutTargets>(id, {.rule = "r", .targets = {target}});
      events::PutEventsRequest own;
      own.entries = {{.source = "shop", .detail_type = "Order", .detail = "{}"}};
      const auto answer = co_await w.call<events::op::PutEvents>(id, own);
      EXPECT_EQ(answer.failed_entry_count, 0);
    }
    EXPECT_EQ(co_await w.next(kOwner, url), cat('"', kFriend, '"'));
  });
}

}  // namespace
}  // namespace virga::app
