// Operations as callers in this process reach them: through dispatch and the policy engine, over a store in memory.
#include <aws/s3/model.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/async.h"
#include "base/encoding.h"
#include "kernel/test_world.h"
#include "services/s3/api.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {
namespace {

class S3 : public testing::Test, protected kernel::TestWorld {
 protected:
  S3() : TestWorld({.unkept_grace = Micros(0), .dropped_grace = Micros(0)}) { cloud.add(make_s3(deps)); }

  Ctx root(std::string account = "000000000000", std::string region = "us-east-1") {
    return as(kernel::root_of(account), std::move(region));
  }

  template <class Op>
  Result<typename Op::Output> call(Ctx ctx, typename Op::Input in) {
    return run(cloud.call<Op>(ctx, std::move(in)));
  }
  // Succeeds.
  template <class Op>
  typename Op::Output ok(typename Op::Input in) {
    auto out = call<Op>(root(), std::move(in));
    if (!out) throw std::runtime_error(describe(out.error()));
    return std::move(*out);
  }
  // Refused: with which code.
  template <class Op>
  std::string code(Ctx ctx, typename Op::Input in) {
    const auto out = call<Op>(std::move(ctx), std::move(in));
    if (out) return "";
    const virga::Error* error = error_of(out);
    return error ? std::string(error->shape->code) : describe(out.error());
  }
  template <class Op>
  std::string code(typename Op::Input in) {
    return code<Op>(root(), std::move(in));
  }

  void make_bucket(std::string name) { ok<op::CreateBucket>({.bucket = std::move(name)}); }
  PutObjectOutput put(std::string key, std::string content, std::string bucket = "bucket") {
    PutObjectRequest in;
    in.bucket = std::move(bucket);
    in.key = std::move(key);
    in.body = body_of(std::move(content));
    return ok<op::PutObject>(std::move(in));
  }
  GetObjectRequest get_of(std::string key) {
    GetObjectRequest in;
    in.bucket = "bucket";
    in.key = std::move(key);
    return in;
  }
  std::string read(const Body& body) {
    return kv::get([](Body b) -> Task<std::string> {
      std::string out;
      while (auto chunk = co_await b->next()) out += *chunk;
      co_return out;
    }(body));
  }
  std::string content(std::string key) { return read(ok<op::GetObject>(get_of(std::move(key))).body); }
  std::string list(ListObjectsV2Request in) {
    in.bucket = "bucket";
    const auto out = ok<op::ListObjectsV2>(in);
    std::string text;
    for (const Object& object : *out.contents) append(text, *object.key, " ");
    for (const CommonPrefix& prefix : *out.common_prefixes) append(text, *prefix.prefix, " ");
    if (*out.is_truncated) text += "…";
    return text;
  }
  std::string upload_part(const std::string& id, int32_t number, std::string part) {
    UploadPartRequest in;
    in.bucket = "bucket";
    in.key = "big";
    in.upload_id = id;
    in.part_number = number;
    in.body = body_of(std::move(part));
    return *ok<op::UploadPart>(std::move(in)).etag;
  }
  static CompleteMultipartUploadRequest completion(std::string id, std::vector<std::pair<int32_t, std::string>> parts) {
    CompleteMultipartUploadRequest in;
    in.bucket = "bucket";
    in.key = "big";
    in.upload_id = std::move(id);
    auto& list = in.multipart_upload.emplace().parts.emplace();
    for (auto& [number, etag] : parts) {
      CompletedPart& part = list.emplace_back();
      part.part_number = number;
      part.etag = etag;
    }
    return in;
  }
  // Files of the blob store that hold content.
  size_t blob_files() {
    kv::get(blobs->sweep());
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "blobs")) {
      count += entry.is_regular_file() && entry.path().extension() != ".crc" &&
               entry.path().filename().string().size() >= 32;
    }
    return count;
  }
};

TEST_F(S3, ServesWhatItSays) {
  for (const wire::OperationModel& model : kModel.operations) {
    EXPECT_EQ(cloud.find(model) != nullptr, model.served) << model.name;
  }
}

TEST_F(S3, BucketNamesAreGlobal) {
  make_bucket("bucket");
  make_bucket("bucket");  // the first region lets its owner
  EXPECT_EQ(code<op::CreateBucket>(root("111111111111"), {.bucket = "bucket"}), "BucketAlreadyExists");
  CreateBucketRequest in{.bucket = "european"};
  in.create_bucket_configuration = CreateBucketConfiguration{.location_constraint = "eu-west-1"};
  EXPECT_EQ(code<op::CreateBucket>(in), "");
  EXPECT_EQ(code<op::CreateBucket>(in), "BucketAlreadyOwnedByYou");
  EXPECT_EQ(ok<op::GetBucketLocation>({.bucket = "european"}).location_constraint, "eu-west-1");
  EXPECT_FALSE(ok<op::GetBucketLocation>({.bucket = "bucket"}).location_constraint);
  EXPECT_EQ(*ok<op::HeadBucket>({.bucket = "european"}).bucket_region, "eu-west-1");
  EXPECT_EQ(ok<op::ListBuckets>({}).buckets->size(), 2u);
  const auto page = ok<op::ListBuckets>({.max_buckets = 1});
  EXPECT_EQ(*page.buckets->at(0).name, "bucket");
  EXPECT_EQ(*ok<op::ListBuckets>({.continuation_token = page.continuation_token}).buckets->at(0).name, "european");
  // Another account's.
  EXPECT_EQ(code<op::HeadBucket>(root("111111111111"), {.bucket = "bucket"}), "AccessDenied");
  EXPECT_EQ(code<op::HeadBucket>({.bucket = "nowhere"}), "NoSuchBucket");
  EXPECT_EQ(code<op::HeadBucket>({.bucket = "bucket", .expected_bucket_owner = "111111111111"}), "AccessDenied");
}

TEST_F(S3, OnlyEmptyBucketsGo) {
  make_bucket("bucket");
  put("key", "x");
  EXPECT_EQ(code<op::DeleteBucket>({.bucket = "bucket"}), "BucketNotEmpty");
  ok<op::DeleteObject>({.bucket = "bucket", .key = "key"});
  CreateMultipartUploadRequest upload;
  upload.bucket = "bucket";
  upload.key = "big";
  const std::string id = *ok<op::CreateMultipartUpload>(upload).upload_id;
  upload_part(id, 1, std::string(100'000, 'x'));
  EXPECT_EQ(blob_files(), 1u);
  EXPECT_EQ(code<op::DeleteBucket>({.bucket = "bucket"}), "");
  EXPECT_EQ(blob_files(), 0u);
  EXPECT_EQ(code<op::DeleteBucket>({.bucket = "bucket"}), "NoSuchBucket");
}

TEST_F(S3, PutAndGet) {
  make_bucket("bucket");
  PutObjectRequest in;
  in.bucket = "bucket";
  in.key = "a/b c";
  in.body = body_of("hello world");
  in.content_type = "text/plain";
  in.content_encoding = "aws-chunked";
  in.metadata.emplace()["color"] = "blue";
  in.tagging = "k=v";
  in.content_md5 = "XrY7u+Ae7tCTyyK7j1rNww==";
  const auto out = ok<op::PutObject>(in);
  EXPECT_EQ(*out.etag, "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"");
  EXPECT_TRUE(out.checksum_crc64nvme);
  EXPECT_EQ(out.checksum_type, ChecksumType::FULL_OBJECT);

  auto want = get_of("a/b c");
  want.checksum_mode = ChecksumMode::ENABLED;
  const auto got = ok<op::GetObject>(want);
  EXPECT_EQ(read(got.body), "hello world");
  EXPECT_EQ(*got.content_type, "text/plain");
  EXPECT_FALSE(got.content_encoding);
  EXPECT_EQ(got.metadata->at("color"), "blue");
  EXPECT_EQ(*got.tag_count, 1);
  EXPECT_EQ(got.checksum_crc64nvme, out.checksum_crc64nvme);
  EXPECT_FALSE(got.http_status);

  want.range = "bytes=6-";
  const auto part = ok<op::GetObject>(want);
  EXPECT_EQ(read(part.body), "world");
  EXPECT_EQ(*part.content_range, "bytes 6-10/11");
  EXPECT_EQ(*part.http_status, 206);
  EXPECT_FALSE(part.checksum_crc64nvme);
  want.range = "bytes=11-";
  EXPECT_EQ(code<op::GetObject>(want), "InvalidRange");

  auto head = HeadObjectRequest{};
  head.bucket = "bucket";
  head.key = "a/b c";
  EXPECT_EQ(*ok<op::HeadObject>(head).content_length, 11);
  head.if_none_match = *out.etag;
  EXPECT_EQ(code<op::HeadObject>(head), "NotModified");
  EXPECT_EQ(code<op::GetObject>(get_of("missing")), "NoSuchKey");
}

TEST_F(S3, WrongDigestsKeepNothing) {
  make_bucket("bucket");
  PutObjectRequest in;
  in.bucket = "bucket";
  in.key = "key";
  in.content_md5 = "XrY7u+Ae7tCTyyK7j1rNww==";
  in.body = body_of(std::string(100'000, 'x'));
  EXPECT_EQ(code<op::PutObject>(in), "BadDigest");
  in.content_md5 = "short";
  EXPECT_EQ(code<op::PutObject>(in), "InvalidDigest");
  in.content_md5.reset();
  in.checksum_crc32 = "AAAAAA==";
  in.body = body_of("x");
  EXPECT_EQ(code<op::PutObject>(in), "BadDigest");
  in.checksum_sha1 = "AAAAAA==";
  EXPECT_EQ(code<op::PutObject>(in), "InvalidRequest");
  EXPECT_EQ(code<op::GetObject>(get_of("key")), "NoSuchKey");
  EXPECT_EQ(blob_files(), 0u);
}

TEST_F(S3, OverwritingAndDeletingLetBlobsGo) {
  make_bucket("bucket");
  put("key", std::string(100'000, 'x'));
  put("key", std::string(200'000, 'y'));
  EXPECT_EQ(blob_files(), 1u);
  EXPECT_EQ(content("key"), std::string(200'000, 'y'));
  CopyObjectRequest copy;
  copy.bucket = "bucket";
  copy.key = "copy";
  copy.copy_source = "bucket/key";
  ok<op::CopyObject>(copy);
  EXPECT_EQ(blob_files(), 1u);  // shared
  ok<op::DeleteObject>({.bucket = "bucket", .key = "key"});
  EXPECT_EQ(content("copy"), std::string(200'000, 'y'));
  ok<op::DeleteObject>({.bucket = "bucket", .key = "copy"});
  EXPECT_EQ(blob_files(), 0u);
  ok<op::DeleteObject>({.bucket = "bucket", .key = "copy"});  // nothing to delete is no error
}

TEST_F(S3, TransactionsRunAgainAfterConflicts) {
  make_bucket("bucket");
  put("key", std::string(10'000, 'a'));
  kv::inject_conflicts(*db, 3);
  put("key", std::string(10'000, 'b'));
  EXPECT_EQ(content("key"), std::string(10'000, 'b'));
  EXPECT_EQ(blob_files(), 1u);
}

TEST_F(S3, ConditionalWrites) {
  make_bucket("bucket");
  PutObjectRequest in;
  in.bucket = "bucket";
  in.key = "key";
  in.body = body_of("1");
  in.if_match = "*";
  EXPECT_EQ(code<op::PutObject>(in), "NoSuchKey");
  in.if_match.reset();
  in.if_none_match = "*";
  in.body = body_of("1");
  EXPECT_EQ(code<op::PutObject>(in), "");
  in.body = body_of("2");
  EXPECT_EQ(code<op::PutObject>(in), "PreconditionFailed");
  in.if_none_match.reset();
  in.if_match = "\"c4ca4238a0b923820dcc509a6f75849b\"";  // of "1"
  in.body = body_of("2");
  EXPECT_EQ(code<op::PutObject>(in), "");
  in.body = body_of("3");
  EXPECT_EQ(code<op::PutObject>(in), "PreconditionFailed");
  EXPECT_EQ(content("key"), "2");
}

TEST_F(S3, UnservedHeadersAreNamed) {
  make_bucket("bucket");
  PutObjectRequest in;
  in.bucket = "bucket";
  in.key = "key";
  in.server_side_encryption = ServerSideEncryption::aws_kms;
  auto out = call<op::PutObject>(root(), in);
  ASSERT_TRUE(error_of(out));
  EXPECT_NE(error_of(out)->message.find("x-amz-server-side-encryption"), std::string::npos);
  in.server_side_encryption.reset();
  in.acl = ObjectCannedACL::public_read;
  EXPECT_EQ(code<op::PutObject>(in), "AccessControlListNotSupported");
  in.acl = ObjectCannedACL::bucket_owner_full_control;
  EXPECT_EQ(code<op::PutObject>(in), "");
  auto want = get_of("key");
  want.version_id = "abc";
  EXPECT_EQ(code<op::GetObject>(want), "NotImplemented");
  in.storage_class = "GLACIER";
  EXPECT_EQ(code<op::PutObject>(in), "NotImplemented");
  in.storage_class = "NONE";
  EXPECT_EQ(code<op::PutObject>(in), "InvalidStorageClass");
}

TEST_F(S3, Lists) {
  make_bucket("bucket");
  for (const char* key : {"a", "b/1", "b/2", "b/c/3", "c/4", "d", "\xc3\xa4"}) put(key, "x");
  EXPECT_EQ(list({}), "a b/1 b/2 b/c/3 c/4 d \xc3\xa4 ");
  EXPECT_EQ(list({.delimiter = "/"}), "a d \xc3\xa4 b/ c/ ");
  EXPECT_EQ(list({.delimiter = "/", .prefix = "b/"}), "b/1 b/2 b/c/ ");
  EXPECT_EQ(list({.max_keys = 2}), "a b/1 …");
  EXPECT_EQ(list({.max_keys = 0}), "");
  EXPECT_EQ(list({.start_after = "c/4"}), "d \xc3\xa4 ");
  EXPECT_EQ(list({.encoding_type = EncodingType::url, .prefix = "\xc3\xa4"}), "%C3%A4 ");
  ListObjectsV2Request in;
  in.bucket = "bucket";
  in.max_keys = 3;
  in.delimiter = "/";
  const auto first = ok<op::ListObjectsV2>(in);
  EXPECT_EQ(*first.key_count, 3);
  in.continuation_token = first.next_continuation_token;
  EXPECT_EQ(list(in), "d \xc3\xa4 ");
  in.continuation_token = "forged";
  EXPECT_EQ(code<op::ListObjectsV2>(in), "InvalidArgument");
  ListObjectsRequest old;
  old.bucket = "bucket";
  old.max_keys = 2;
  old.delimiter = "/";
  const auto page = ok<op::ListObjects>(old);
  EXPECT_EQ(*page.next_marker, "b/");
  old.marker = page.next_marker;
  EXPECT_EQ(*ok<op::ListObjects>(old).common_prefixes->at(0).prefix, "c/");
}

TEST_F(S3, ManyKeysUnderAPrefixAreSkipped) {
  make_bucket("bucket");
  kv::get(db->transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx);
    for (int i = 0; i < 3000; ++i) store.put_object("bucket", cat(i % 3, "/", i), ObjectRecord{});
    co_return;
  }));
  EXPECT_EQ(list({.delimiter = "/"}), "0/ 1/ 2/ ");
  ListObjectsV2Request in;
  in.bucket = "bucket";
  size_t count = 0, pages = 0;
  do {
    const auto out = ok<op::ListObjectsV2>(in);
    count += out.contents->size();
    ++pages;
    in.continuation_token = out.next_continuation_token;
  } while (in.continuation_token);
  EXPECT_EQ(count, 3000u);
  EXPECT_EQ(pages, 3u);
}

TEST_F(S3, DeletesManyAndSaysWhichNot) {
  make_bucket("bucket");
  put("a", "1");
  put("b", "2");
  DeleteObjectsRequest in;
  in.bucket = "bucket";
  in.delete_.objects = {{.key = "a"}, {.key = "missing"}, {.key = "b", .version_id = "v"}};
  const auto out = ok<op::DeleteObjects>(in);
  EXPECT_EQ(out.deleted->size(), 2u);
  ASSERT_EQ(out.errors->size(), 1u);
  EXPECT_EQ(*out.errors->at(0).code, "NotImplemented");
  in.delete_.objects = {{.key = "b"}};
  in.delete_.quiet = true;
  EXPECT_FALSE(ok<op::DeleteObjects>(in).deleted);
  EXPECT_EQ(list({}), "");
  // Another account's root may delete nothing here, and the bucket is still found.
  put("a", "1");
  const auto denied =
      call<op::DeleteObjects>(root("111111111111"), {.bucket = "bucket", .delete_ = {.objects = {{.key = "a"}}}});
  ASSERT_TRUE(denied);
  EXPECT_EQ(*denied->errors->at(0).code, "AccessDenied");
}

TEST_F(S3, Copies) {
  make_bucket("bucket");
  make_bucket("other");
  PutObjectRequest in;
  in.bucket = "bucket";
  in.key = "key";
  in.body = body_of("content");
  in.metadata.emplace()["a"] = "1";
  in.tagging = "t=1";
  ok<op::PutObject>(in);
  CopyObjectRequest copy;
  copy.bucket = "other";
  copy.key = "copy";
  copy.copy_source = "bucket/key";
  ok<op::CopyObject>(copy);
  GetObjectRequest want;
  want.bucket = "other";
  want.key = "copy";
  auto got = ok<op::GetObject>(want);
  EXPECT_EQ(read(got.body), "content");
  EXPECT_EQ(got.metadata->at("a"), "1");
  EXPECT_EQ(*got.tag_count, 1);
  copy.metadata_directive = MetadataDirective::REPLACE;
  copy.tagging_directive = TaggingDirective::REPLACE;
  copy.metadata.emplace()["b"] = "2";
  copy.checksum_algorithm = ChecksumAlgorithm::SHA256;
  EXPECT_TRUE(ok<op::CopyObject>(copy).copy_object_result->checksum_sha256);
  got = ok<op::GetObject>(want);
  EXPECT_EQ(*got.metadata, (std::map<std::string, std::string>{{"b", "2"}}));
  EXPECT_FALSE(got.tag_count);

  CopyObjectRequest self;
  self.bucket = "bucket";
  self.key = "key";
  self.copy_source = "bucket/key";
  EXPECT_EQ(code<op::CopyObject>(self), "InvalidRequest");
  self.metadata_directive = MetadataDirective::REPLACE;
  EXPECT_EQ(code<op::CopyObject>(self), "");
  copy.copy_source_if_none_match = "*";
  EXPECT_EQ(code<op::CopyObject>(copy), "PreconditionFailed");
  copy.copy_source = "bucket/missing";
  EXPECT_EQ(code<op::CopyObject>(copy), "NoSuchKey");
  copy.copy_source = "nowhere/missing";
  EXPECT_EQ(code<op::CopyObject>(copy), "NoSuchBucket");
}

TEST_F(S3, UploadsInParts) {
  make_bucket("bucket");
  CreateMultipartUploadRequest create;
  create.bucket = "bucket";
  create.key = "big";
  create.metadata.emplace()["a"] = "1";
  const std::string id = *ok<op::CreateMultipartUpload>(create).upload_id;
  const std::string first(kMinPart, 'a'), second(kMinPart + 1, 'b'), last = "end";
  const std::string e1 = upload_part(id, 1, first), e2 = upload_part(id, 2, second), e7 = upload_part(id, 7, "oops");
  const std::string e3 = upload_part(id, 7, last);
  EXPECT_NE(e7, e3);
  const auto parts = ok<op::ListParts>({.bucket = "bucket", .key = "big", .max_parts = 2, .upload_id = id});
  EXPECT_EQ(parts.parts->size(), 2u);
  EXPECT_TRUE(*parts.is_truncated);
  EXPECT_EQ(*parts.next_part_number_marker, 2);

  EXPECT_EQ(code<op::CompleteMultipartUpload>(completion(id, {{1, e1}, {2, e2}, {7, e7}})), "InvalidPart");
  EXPECT_EQ(code<op::CompleteMultipartUpload>(completion(id, {{2, e2}, {1, e1}})), "InvalidPartOrder");
  EXPECT_EQ(code<op::CompleteMultipartUpload>(completion(id, {})), "MalformedXML");
  EXPECT_EQ(code<op::CompleteMultipartUpload>(completion("no", {{1, e1}})), "NoSuchUpload");
  const auto done = ok<op::CompleteMultipartUpload>(completion(id, {{1, e1}, {2, e2}, {7, e3}}));
  EXPECT_TRUE(done.etag->ends_with("-3\""));
  // Asking again finds it done.
  EXPECT_EQ(ok<op::CompleteMultipartUpload>(completion(id, {{1, e1}, {2, e2}, {7, e3}})).etag, done.etag);
  EXPECT_EQ(content("big"), first + second + last);
  EXPECT_EQ(blob_files(), 1u);

  Digest whole({Sum::kCrc64Nvme});
  whole.update(first + second + last);
  whole.finish();
  EXPECT_EQ(*done.checksum_crc64nvme, text_of(whole.checksum(Sum::kCrc64Nvme)));

  auto want = get_of("big");
  want.part_number = 2;
  const auto part = ok<op::GetObject>(want);
  EXPECT_EQ(read(part.body), second);
  EXPECT_EQ(*part.parts_count, 3);
  want.part_number = 4;
  EXPECT_EQ(code<op::GetObject>(want), "InvalidPartNumber");

  // A copy is one piece again.
  CopyObjectRequest copy;
  copy.bucket = "bucket";
  copy.key = "copy";
  copy.copy_source = "bucket/big";
  EXPECT_EQ(*ok<op::CopyObject>(copy).copy_object_result->etag, etag_header(hex_encode(whole.md5())));
}

TEST_F(S3, SmallPartsAreRefusedAndAborted) {
  make_bucket("bucket");
  CreateMultipartUploadRequest create;
  create.bucket = "bucket";
  create.key = "big";
  create.checksum_algorithm = ChecksumAlgorithm::SHA256;
  const auto created = ok<op::CreateMultipartUpload>(create);
  EXPECT_EQ(created.checksum_type, ChecksumType::COMPOSITE);
  const std::string id = *created.upload_id;
  const std::string e1 = upload_part(id, 1, std::string(10'000, 'x')), e2 = upload_part(id, 2, "y");
  EXPECT_EQ(code<op::CompleteMultipartUpload>(completion(id, {{1, e1}, {2, e2}})), "EntityTooSmall");
  EXPECT_EQ(ok<op::ListMultipartUploads>({.bucket = "bucket"}).uploads->size(), 1u);
  EXPECT_EQ(code<op::AbortMultipartUpload>({.bucket = "bucket", .key = "big", .upload_id = id}), "");
  EXPECT_EQ(code<op::AbortMultipartUpload>({.bucket = "bucket", .key = "big", .upload_id = id}), "NoSuchUpload");
  EXPECT_EQ(blob_files(), 0u);
}

TEST_F(S3, PartsAreCopiedByRange) {
  make_bucket("bucket");
  put("source", "0123456789");
  CreateMultipartUploadRequest create;
  create.bucket = "bucket";
  create.key = "big";
  const std::string id = *ok<op::CreateMultipartUpload>(create).upload_id;
  UploadPartCopyRequest copy;
  copy.bucket = "bucket";
  copy.key = "big";
  copy.upload_id = id;
  copy.part_number = 1;
  copy.copy_source = "bucket/source";
  copy.copy_source_range = "bytes=2-4";
  const auto part = ok<op::UploadPartCopy>(copy);
  ok<op::CompleteMultipartUpload>(completion(id, {{1, *part.copy_part_result->etag}}));
  EXPECT_EQ(content("big"), "234");
  copy.copy_source_range = "bytes=2-10";
  EXPECT_EQ(code<op::UploadPartCopy>(copy), "NoSuchUpload");
}

TEST_F(S3, UploadsAreListedByKeyAndPage) {
  make_bucket("bucket");
  for (const char* key : {"a", "a", "b/1", "b/2", "c"}) {
    CreateMultipartUploadRequest create;
    create.bucket = "bucket";
    create.key = key;
    ok<op::CreateMultipartUpload>(create);
    clock.advance(std::chrono::seconds(1));
  }
  const auto keys = [&](ListMultipartUploadsRequest in) {
    in.bucket = "bucket";
    std::string out;
    for (int page = 0; page < 10; ++page) {
      const auto list = ok<op::ListMultipartUploads>(in);
      for (const MultipartUpload& upload : *list.uploads) append(out, *upload.key, " ");
      for (const CommonPrefix& prefix : *list.common_prefixes) append(out, *prefix.prefix, " ");
      if (!*list.is_truncated) break;
      out += "| ";
      in.key_marker = list.next_key_marker;
      in.upload_id_marker = list.next_upload_id_marker;
    }
    return out;
  };
  EXPECT_EQ(keys({}), "a a b/1 b/2 c ");
  EXPECT_EQ(keys({.max_uploads = 1}), "a | a | b/1 | b/2 | c ");
  EXPECT_EQ(keys({.delimiter = "/"}), "a a c b/ ");
  EXPECT_EQ(keys({.delimiter = "/", .max_uploads = 1}), "a | a | b/ | c ");
  EXPECT_EQ(keys({.prefix = "b/"}), "b/1 b/2 ");
}

TEST_F(S3, PoliciesOpenBucketsToOthers) {
  make_bucket("bucket");
  put("open/key", "x");
  put("shut/key", "x");
  kernel::Principal nobody;
  auto open = get_of("open/key"), shut = get_of("shut/key"), missing = get_of("open/missing");
  EXPECT_EQ(code<op::GetObject>(as(nobody), open), "AccessDenied");
  EXPECT_EQ(code<op::GetBucketPolicy>({.bucket = "bucket"}), "NoSuchBucketPolicy");
  PutBucketPolicyRequest policy{.bucket = "bucket"};
  policy.policy = R"({"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/open/*"},
    {"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket",
     "Condition":{"StringEquals":{"s3:prefix":"open/"}}}]})";
  EXPECT_EQ(code<op::PutBucketPolicy>(policy), "");
  EXPECT_EQ(*ok<op::GetBucketPolicy>({.bucket = "bucket"}).policy, policy.policy);
  EXPECT_EQ(code<op::GetObject>(as(nobody), open), "");
  EXPECT_EQ(code<op::GetObject>(as(nobody), shut), "AccessDenied");
  // Who may not list the bucket does not learn what is missing.
  EXPECT_EQ(code<op::GetObject>(as(nobody), missing), "AccessDenied");
  EXPECT_EQ(code<op::GetObject>(missing), "NoSuchKey");
  open.response_content_type = "text/html";
  EXPECT_EQ(code<op::GetObject>(as(nobody), open), "InvalidRequest");
  ListObjectsV2Request listing;
  listing.bucket = "bucket";
  listing.prefix = "open/";
  EXPECT_EQ(code<op::ListObjectsV2>(root("111111111111"), listing), "");
  listing.prefix = "shut/";
  EXPECT_EQ(code<op::ListObjectsV2>(root("111111111111"), listing), "AccessDenied");
  EXPECT_EQ(code<op::DeleteBucketPolicy>({.bucket = "bucket"}), "");
  EXPECT_EQ(code<op::GetObject>(as(nobody), get_of("open/key")), "AccessDenied");
}

TEST_F(S3, Tags) {
  make_bucket("bucket");
  put("key", std::string(10'000, 'x'));
  EXPECT_EQ(code<op::GetBucketTagging>({.bucket = "bucket"}), "NoSuchTagSet");
  ok<op::PutBucketTagging>({.bucket = "bucket", .tagging = {.tag_set = {{"a", "1"}}}});
  EXPECT_EQ(ok<op::GetBucketTagging>({.bucket = "bucket"}).tag_set.at(0).value, "1");
  ok<op::PutObjectTagging>({.bucket = "bucket", .key = "key", .tagging = {.tag_set = {{"b", "2"}}}});
  EXPECT_EQ(ok<op::GetObjectTagging>({.bucket = "bucket", .key = "key"}).tag_set.at(0).key, "b");
  ok<op::DeleteObjectTagging>({.bucket = "bucket", .key = "key"});
  EXPECT_TRUE(ok<op::GetObjectTagging>({.bucket = "bucket", .key = "key"}).tag_set.empty());
  EXPECT_EQ(blob_files(), 1u);
}

TEST_F(S3, SignaturesAreOfTheBucketsRegion) {
  CreateBucketRequest in{.bucket = "european"};
  in.create_bucket_configuration = CreateBucketConfiguration{.location_constraint = "eu-west-1"};
  ok<op::CreateBucket>(in);
  auto signer = kernel::root_of("000000000000");
  signer.access_key = "test";
  ListObjectsV2Request listing;
  listing.bucket = "european";
  EXPECT_EQ(code<op::ListObjectsV2>(as(signer, "us-east-1"), listing), "AuthorizationHeaderMalformed");
  EXPECT_EQ(code<op::ListObjectsV2>(as(signer, "eu-west-1"), listing), "");
  EXPECT_EQ(code<op::HeadBucket>(as(signer, "us-east-1"), {.bucket = "european"}), "");
}

}  // namespace
}  // namespace virga::s3
