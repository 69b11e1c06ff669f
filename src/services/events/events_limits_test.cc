#include <gtest/gtest.h>

#include "kernel/test_world.h"
#include "services/events/limits.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

// Puts `count` records of the kind, named n0, n1, …
template <class R>
void put_many(kernel::ServiceWorld<EventsService>& w, size_t count) {
  run(w.db->transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, home_of(w.ctx));
    R record;
    for (size_t i = 0; i < count; ++i) {
      record.name = cat("n", i);
      store.put(record);
    }
    co_return;
  })).value();
}

TEST(Limits, ConnectionsAndDestinations) {
  kernel::ServiceWorld<EventsService> w;
  const auto connection = [&](const std::string& name) {
    return w.call("CreateConnection", cat("{'Name':'", name,
                                          "','AuthorizationType':'BASIC','AuthParameters':"
                                          "{'BasicAuthParameters':{'Username':'u','Password':'p'}}}"));
  };
  put_many<ConnectionRecord>(w, kMaxConnections - 1);
  const std::string arn = connection("last").string_or("ConnectionArn");
  EXPECT_EQ(connection("more").string_or("error"), "LimitExceededException");
  EXPECT_EQ(connection("last").string_or("error"), "ResourceAlreadyExistsException");

  const auto destination = [&](const std::string& name) {
    return w.call("CreateApiDestination", cat("{'Name':'", name, "','ConnectionArn':'", arn,
                                              "','InvocationEndpoint':'https://example.com/','HttpMethod':'POST'}"));
  };
  put_many<DestinationRecord>(w, kMaxDestinations - 1);
  EXPECT_EQ(destination("last").string_or("ApiDestinationState"), "ACTIVE");
  EXPECT_EQ(destination("more").string_or("error"), "LimitExceededException");
  w.call("DeleteApiDestination", "{'Name':'n7'}");
  EXPECT_EQ(destination("more").string_or("ApiDestinationState"), "ACTIVE");
}

}  // namespace
}  // namespace virga::events
