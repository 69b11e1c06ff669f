#include "services/lambda/esm/failure.h"

#include <gtest/gtest.h>

#include "kernel/target_delivery.h"

namespace virga::lambda::esm {
namespace {

TEST(Failure, ObjectsAreNamedByShardAndDay) {
  Mapping mapping;
  mapping.uuid = "u";
  mapping.source = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s";
  mapping.on_failure = "arn:aws:s3:::b";
  Discarded discarded;
  discarded.shard = "shard-1";
  discarded.payload = "{}";
  discarded.version = "$LATEST";
  discarded.first_arrived = discarded.last_arrived = Time{1'700'000'000'123'000};
  const kernel::TargetDelivery letter = letter_of(mapping, discarded, "role", Time{1'700'000'001'500'000});
  EXPECT_TRUE(letter.input.parameters.at("Key").starts_with("aws/lambda/u/shard-1/2023/11/14/2023-11-14T22.13.21-"));
  const Json document = Json::parse(letter.input.body);
  EXPECT_EQ(document.find("responseContext")->dump(),
            R"({"statusCode":200,"executedVersion":"$LATEST","functionError":null})");
  EXPECT_EQ(document.find("DDBStreamBatchInfo")->string_or("approximateArrivalOfFirstRecord"), "2023-11-14T22:13:20Z");
}

}  // namespace
}  // namespace virga::lambda::esm
