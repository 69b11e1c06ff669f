#include "services/s3/model.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/str.h"
#include "services/s3/limits.h"

namespace virga::s3 {
namespace {

// The code of the error that `f` throws; empty when it throws none.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const virga::Error& error) {
    return std::string(error.shape->code);
  }
  return "";
}

TEST(BucketName, FollowsTheRules) {
  for (const char* good : {"abc", "my-bucket", "my.bucket.name", "0start", "1.2.3", "a-b.c9"}) {
    EXPECT_EQ(refusal([&] { check_bucket_name(good); }), "") << good;
  }
  for (const char* bad :
       {"ab", "Upper", "under_score", "-start", "end-", "two..dots", "192.168.5.4", "xn--x", "name-s3alias", "a b c"}) {
    EXPECT_EQ(refusal([&] { check_bucket_name(bad); }), "InvalidBucketName") << bad;
  }
  EXPECT_EQ(refusal([] { check_bucket_name(std::string(64, 'a')); }), "InvalidBucketName");
}

TEST(BucketRegion, DependsOnWhereTheRequestGoes) {
  EXPECT_EQ(bucket_region("us-east-1", {}), "us-east-1");
  EXPECT_EQ(bucket_region("us-east-1", "eu-west-2"), "eu-west-2");
  EXPECT_EQ(bucket_region("us-east-1", "EU"), "eu-west-1");
  EXPECT_EQ(bucket_region("eu-west-2", "eu-west-2"), "eu-west-2");
  EXPECT_EQ(refusal([] { bucket_region("us-east-1", "us-east-1"); }), "InvalidLocationConstraint");
  EXPECT_EQ(refusal([] { bucket_region("us-east-1", "nowhere"); }), "InvalidLocationConstraint");
  EXPECT_EQ(refusal([] { bucket_region("eu-west-2", {}); }), "IllegalLocationConstraintException");
  EXPECT_EQ(refusal([] { bucket_region("eu-west-2", "eu-west-1"); }), "IllegalLocationConstraintException");
}

std::string range(std::string_view header, uint64_t size) {
  try {
    const auto slice = parse_range(header, size);
    return slice ? cat(slice->offset, "+", slice->length) : "all";
  } catch (const virga::Error& error) {
    return std::string(error.shape->code);
  }
}

TEST(Range, OneRangeOrTheWhole) {
  EXPECT_EQ(range("bytes=0-9", 100), "0+10");
  EXPECT_EQ(range("bytes=90-200", 100), "90+10");
  EXPECT_EQ(range("bytes=90-", 100), "90+10");
  EXPECT_EQ(range("bytes=-5", 100), "95+5");
  EXPECT_EQ(range("bytes=-500", 100), "0+100");
  EXPECT_EQ(range("bytes=0-99999999999999999999999", 100), "0+100");
  EXPECT_EQ(range("bytes=100-", 100), "InvalidRange");
  EXPECT_EQ(range("bytes=-0", 100), "InvalidRange");
  EXPECT_EQ(range("bytes=0-0", 0), "InvalidRange");
  // What S3 doesn't understand it ignores.
  EXPECT_EQ(range("bytes=5-2", 100), "all");
  EXPECT_EQ(range("bytes=0-1,5-6", 100), "all");
  EXPECT_EQ(range("lines=0-1", 100), "all");
  EXPECT_EQ(range("bytes=a-b", 100), "all");
}

TEST(Conditions, EntityTagsOutweighDates) {
  const Time modified = Time::from_seconds(1000), before = Time::from_seconds(900), after = Time::from_seconds(1100);
  EXPECT_FALSE(is_unmodified({}, "e", modified));
  EXPECT_FALSE(is_unmodified({.if_match = "\"e\"", .if_unmodified_since = before}, "e", modified));
  EXPECT_EQ(refusal([&] { is_unmodified({.if_match = "\"x\""}, "e", modified); }), "PreconditionFailed");
  EXPECT_EQ(refusal([&] { is_unmodified({.if_unmodified_since = before}, "e", modified); }), "PreconditionFailed");
  EXPECT_FALSE(is_unmodified({.if_unmodified_since = modified}, "e", modified));
  EXPECT_TRUE(is_unmodified({.if_none_match = "\"x\", \"e\""}, "e", modified));
  EXPECT_TRUE(is_unmodified({.if_none_match = "*"}, "e", modified));
  EXPECT_TRUE(is_unmodified({.if_modified_since = modified}, "e", modified));
  EXPECT_FALSE(is_unmodified({.if_modified_since = before}, "e", modified));
  EXPECT_FALSE(is_unmodified({.if_none_match = "x", .if_modified_since = after}, "e", modified));
}

TEST(CopySource, IsDecodedAndMayBeginWithASlash) {
  EXPECT_EQ(parse_copy_source("bucket/a%20b/c").key, "a b/c");
  EXPECT_EQ(parse_copy_source("/bucket/key").bucket, "bucket");
  EXPECT_EQ(parse_copy_source("bucket/key?versionId=null").key, "key");
  EXPECT_EQ(refusal([] { parse_copy_source("bucket/key?versionId=abc"); }), "NotImplemented");
  EXPECT_EQ(refusal([] { parse_copy_source("bucket"); }), "InvalidArgument");
}

TEST(TagRules, RefuseWhatS3Refuses) {
  EXPECT_EQ(parse_tagging("a=1&b=x%20y+z&c", kMaxObjectTags), (Tags{{"a", "1"}, {"b", "x y z"}, {"c", ""}}));
  EXPECT_EQ(refusal([] { parse_tagging("a=1&a=2", kMaxObjectTags); }), "InvalidTag");
  EXPECT_EQ(refusal([] { parse_tagging("aws:a=1", kMaxObjectTags); }), "InvalidTag");
  EXPECT_EQ(refusal([] { parse_tagging("a=%3C", kMaxObjectTags); }), "InvalidTag");
  EXPECT_EQ(refusal([] { parse_tagging("a&b&c&d&e&f&g&h&i&j&k", kMaxObjectTags); }), "BadRequest");
}

// Every page of a walk over `keys` in order, as the store would give them: entries joined by spaces, pages by bars.
std::string pages(const std::vector<std::string>& keys, std::string prefix, std::string delimiter, std::string after,
                  size_t most) {
  std::string out;
  for (int page = 0; page < 20; ++page) {
    Listing listing(prefix, delimiter, after, most);
    std::vector<std::string> entries;
    for (const std::string& key : keys) {
      if (key < listing.from() || (!listing.to().empty() && key >= listing.to())) continue;
      if (listing.take(key)) entries.push_back(key);
    }
    entries.insert(entries.end(), listing.prefixes().begin(), listing.prefixes().end());
    append(out, page ? " | " : "", join(entries, " "));
    if (!listing.is_full()) return out;
    after = listing.last();
  }
  return "without end";
}

TEST(Listing, RollsUpAndPages) {
  const std::vector<std::string> keys{"a", "b/1", "b/2", "b/c/3", "b0", "c/4", "d"};
  EXPECT_EQ(pages(keys, "", "", "", 100), "a b/1 b/2 b/c/3 b0 c/4 d");
  EXPECT_EQ(pages(keys, "", "/", "", 100), "a b0 d b/ c/");
  EXPECT_EQ(pages(keys, "b/", "/", "", 100), "b/1 b/2 b/c/");
  EXPECT_EQ(pages(keys, "", "/", "", 2), "a b/ | b0 c/ | d");
  EXPECT_EQ(pages(keys, "", "", "", 3), "a b/1 b/2 | b/c/3 b0 c/4 | d");
  EXPECT_EQ(pages(keys, "", "", "b/2", 100), "b/c/3 b0 c/4 d");
  // A common prefix that the marker lies in was shown before it.
  EXPECT_EQ(pages(keys, "", "/", "b/1", 100), "b0 d c/");
  EXPECT_EQ(pages(keys, "", "/", "b/", 100), "b0 d c/");
  EXPECT_EQ(pages(keys, "c", "", "d", 100), "");
  // Exactly full is not truncated.
  EXPECT_EQ(pages(keys, "", "", "", 7), "a b/1 b/2 b/c/3 b0 c/4 d");
}

TEST(Checksums, AreAsTheSdksComputeThem) {
  Digest digest({Sum::kCrc32, Sum::kCrc32c, Sum::kCrc64Nvme, Sum::kSha1, Sum::kSha256});
  digest.update("123");
  digest.update("456789");
  digest.finish();
  EXPECT_EQ(text_of(digest.checksum(Sum::kCrc32)), "y/Q5Jg==");
  EXPECT_EQ(text_of(digest.checksum(Sum::kCrc32c)), "4waSgw==");
  EXPECT_EQ(hex_encode(digest.checksum(Sum::kCrc64Nvme).bytes), "ae8b14860a799888");
  EXPECT_EQ(text_of(digest.checksum(Sum::kSha1)), "98O8HYCOBHMq32eZZczDTKeuNEE=");
  EXPECT_EQ(hex_encode(digest.md5()), "25f9e794323b453885f5181f1b624d0b");
}

TEST(Checksums, OfPartsCombine) {
  const std::string first(100'000, 'x'), second = "and the rest", third;
  for (const Sum sum : {Sum::kCrc32, Sum::kCrc32c, Sum::kCrc64Nvme}) {
    std::vector<PartSum> parts;
    Digest whole({sum});
    for (const std::string& part : {first, second, third}) {
      Digest digest({sum});
      digest.update(part);
      digest.finish();
      parts.push_back({digest.checksum(sum).bytes, part.size()});
      whole.update(part);
    }
    whole.finish();
    EXPECT_EQ(combine(sum, parts), whole.checksum(sum)) << name_of(sum);
    EXPECT_TRUE(text_of(compose(sum, parts)).ends_with("-3"));
  }
}

TEST(Policy, IsAboutItsBucket) {
  const auto put = [](std::string resource, std::string action) {
    return refusal([&] {
      check_policy(cat(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":")", action,
                       R"(","Resource":")", resource, R"("}]})"),
                   "mine");
    });
  };
  EXPECT_EQ(put("arn:aws:s3:::mine/*", "s3:GetObject"), "");
  EXPECT_EQ(put("arn:aws:s3:::mine", "s3:*"), "");
  EXPECT_EQ(put("arn:aws:s3:::other/*", "s3:GetObject"), "MalformedPolicy");
  EXPECT_EQ(put("arn:aws:s3:::mine/*", "sqs:SendMessage"), "MalformedPolicy");
  EXPECT_EQ(refusal([] { check_policy("not json", "mine"); }), "MalformedPolicy");
  EXPECT_EQ(refusal([] { check_policy("{}", "mine"); }), "MalformedPolicy");
}

TEST(ContentEncoding, ForgetsTheUploadsOwnCoding) {
  EXPECT_EQ(stored_encoding("aws-chunked"), "");
  EXPECT_EQ(stored_encoding("gzip, aws-chunked"), "gzip");
}

}  // namespace
}  // namespace virga::s3
