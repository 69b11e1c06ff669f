#include <aws/s3/errors.h>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {

Task<PutObjectOutput> S3Service::put_object(Ctx& ctx, const PutObjectRequest& in) {
  refuse_unserved(in);
  ObjectRecord object;
  object.attributes = attributes_of(in);
  if (in.tagging) object.tags = parse_tagging(*in.tagging, kMaxObjectTags);
  Claims claims{parse_content_md5(in.content_md5), claimed_checksum(in)};
  // A checksum that comes after the body is compared while it is decoded; its kind is announced before.
  Sum sum = claims.checksum ? claims.checksum->sum : Sum::kCrc64Nvme;
  if (in.checksum_algorithm && !claims.checksum) {
    const auto named = sum_of(*in.checksum_algorithm);
    if (!named) co_return not_implemented(cat("x-amz-sdk-checksum-algorithm: ", to_string(*in.checksum_algorithm)));
    sum = *named;
  }

  Received received = co_await receive(in.body, std::move(claims), {sum});
  object.content = std::move(received.content);
  object.etag = hex_encode(received.digest.md5());
  object.checksum = received.digest.checksum(sum);
  object.modified = whole_seconds(ctx.now());

  const WriteConditions conditions{in.if_match, in.if_none_match};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    co_await replace_object(tx, in.bucket, in.key, object, {}, conditions);
    notify(ctx, tx, bucket, in.key, &object, "ObjectCreated:Put");
  });

  PutObjectOutput out;
  out.etag = etag_header(object.etag);
  show_checksum(out, *object.checksum);
  co_return out;
}

namespace {

// The part of an object that a GetObject or HeadObject is about.
struct View {
  Slice slice;
  bool partial = false;              // 206
  std::optional<Checksum> checksum;  // of exactly this
};

// Throws NotModified, PreconditionFailed, InvalidRange, InvalidPartNumber.
template <class In>
View view_of(const In& in, const ObjectRecord& object, const ObjectParts& parts) {
  const uint64_t size = object.content.size;
  const Conditions conditions{in.if_match, in.if_none_match, in.if_modified_since, in.if_unmodified_since};
  if (is_unmodified(conditions, object.etag, object.modified)) {
    throw err::NotModified("Not Modified", Json::object({{"ETag", etag_header(object.etag)},
                                                         {"Last-Modified", http_date(object.modified)}}));
  }
  View view{{0, size}, false, object.checksum};
  if (in.part_number) {
    if (in.range) throw err::InvalidRequest("Cannot specify both Range header and partNumber query parameter");
    check_part_number(*in.part_number);
    const size_t count = std::max<size_t>(parts.parts.size(), 1);
    const auto index = static_cast<size_t>(*in.part_number - 1);
    if (index >= count) {
      throw err::InvalidPartNumber(
          "The requested partnumber is not satisfiable",
          Json::object({{"PartNumberRequested", *in.part_number}, {"ActualPartCount", count}}));
    }
    view.partial = size > 0;
    if (parts.parts.empty()) return view;
    view.slice = {0, parts.parts[index].size};
    for (size_t i = 0; i < index; ++i) view.slice.offset += parts.parts[i].size;
    const std::string& bytes = parts.parts[index].checksum;
    view.checksum.reset();
    if (object.checksum && !bytes.empty()) view.checksum = Checksum{object.checksum->sum, bytes, 0};
    return view;
  }
  if (in.range) {
    if (const auto slice = parse_range(*in.range, size)) {
      view.slice = *slice;
      view.partial = true;
      if (slice->length != size) view.checksum.reset();
    }
  }
  return view;
}

template <class Out, class In>
Out describe_object(const Ctx& ctx, const In& in, const ObjectRecord& object, const View& view) {
  const bool overrides = in.response_cache_control || in.response_content_disposition || in.response_content_encoding ||
                         in.response_content_language || in.response_content_type || in.response_expires;
  if (overrides && ctx.principal.kind == kernel::Principal::Kind::kAnonymous) {
    throw err::InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.");
  }
  const Attributes& a = object.attributes;
  const auto either = [](const std::optional<std::string>& wanted, const std::optional<std::string>& own) {
    return wanted ? wanted : own;
  };
  Out out;
  out.accept_ranges = "bytes";
  out.content_length = static_cast<int64_t>(view.slice.length);
  out.etag = etag_header(object.etag);
  out.last_modified = object.modified;
  out.content_type = in.response_content_type.value_or(a.content_type);
  out.cache_control = either(in.response_cache_control, a.cache_control);
  out.content_disposition = either(in.response_content_disposition, a.content_disposition);
  out.content_encoding = either(in.response_content_encoding, a.content_encoding);
  out.content_language = either(in.response_content_language, a.content_language);
  out.expires = in.response_expires ? std::optional(http_date(*in.response_expires)) : a.expires;
  if (!a.metadata.empty()) out.metadata = a.metadata;
  if (a.storage_class != "STANDARD") out.storage_class = a.storage_class;
  if (!object.tags.empty()) out.tag_count = static_cast<int32_t>(object.tags.size());
  if (in.part_number && object.parts) out.parts_count = static_cast<int32_t>(object.parts);
  if (view.partial) {
    out.http_status = 206;
    out.content_range =
        cat("bytes ", view.slice.offset, "-", view.slice.offset + view.slice.length - 1, "/", object.content.size);
  }
  if (in.checksum_mode && view.checksum) show_checksum(out, *view.checksum);
  return out;
}

}  // namespace

Task<GetObjectOutput> S3Service::get_object(Ctx& ctx, const GetObjectRequest& in) {
  refuse_unserved(in);
  const auto reader = deps_.db.snapshot();
  BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  const ObjectRecord object = co_await require_object(ctx, *reader, std::move(bucket), in.key);
  ObjectParts parts;
  if (in.part_number && object.parts) parts = co_await Store(*reader).find_object_parts(in.bucket, in.key);

  const View view = view_of(in, object, parts);
  auto out = describe_object<GetObjectOutput>(ctx, in, object, view);
  out.body = deps_.blobs.read(object.content, view.slice.offset, view.slice.length);
  co_return out;
}

Task<HeadObjectOutput> S3Service::head_object(Ctx& ctx, const HeadObjectRequest& in) {
  refuse_unserved(in);
  const auto reader = deps_.db.snapshot();
  BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  const ObjectRecord object = co_await require_object(ctx, *reader, std::move(bucket), in.key);
  ObjectParts parts;
  if (in.part_number && object.parts) parts = co_await Store(*reader).find_object_parts(in.bucket, in.key);
  co_return describe_object<HeadObjectOutput>(ctx, in, object, view_of(in, object, parts));
}

Task<DeleteObjectOutput> S3Service::delete_object(Ctx& ctx, const DeleteObjectRequest& in) {
  refuse_unserved(in);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    auto object = co_await Store(tx).find_object(in.bucket, in.key);
    check_write({in.if_match, {}}, object ? &*object : nullptr, in.key);
    // To delete what isn't there succeeds, and is told too.
    if (object) co_await remove_object(tx, in.bucket, in.key, std::move(*object));
    notify(ctx, tx, bucket, in.key, nullptr, "ObjectRemoved:Delete");
  });
  co_return DeleteObjectOutput{};
}

namespace {

s3::Error failed_key(const ObjectIdentifier& object, std::string code, std::string message) {
  return {.key = object.key, .version_id = object.version_id, .code = std::move(code), .message = std::move(message)};
}

// What of one entry of DeleteObjects can't be done, before anything is looked up.
std::optional<s3::Error> refused_entry(const ObjectIdentifier& object) {
  if (object.version_id && *object.version_id != "null") {
    return failed_key(object, "NotImplemented", "Versions of objects are not implemented: VersionId can only be null");
  }
  if (object.size || object.last_modified_time) {
    return failed_key(object, "NotImplemented", "Deleting by Size or LastModifiedTime is not implemented");
  }
  if (object.key.empty()) return failed_key(object, "UserKeyMustBeSpecified", "A key must be specified.");
  if (object.key.size() > kMaxKeyBytes) return failed_key(object, "KeyTooLongError", "Your key is too long");
  return std::nullopt;
}

}  // namespace

Task<DeleteObjectsOutput> S3Service::delete_objects(Ctx& ctx, const DeleteObjectsRequest& in) {
  refuse_unserved(in);
  const auto& objects = in.delete_.objects;
  if (objects.empty() || objects.size() > kMaxDeletes) {
    co_return err::MalformedXML(
        "The XML you provided was not well-formed or did not validate against our published schema");
  }
  // Nothing was asked yet about the bucket itself: this finds its owner and its policy.
  const auto policy = co_await resource_policy(ctx, bucket_arn(ctx, in.bucket));
  std::vector<std::optional<s3::Error>> refused;
  for (const ObjectIdentifier& object : objects) {
    auto& entry = refused.emplace_back(refused_entry(object));
    if (entry) continue;
    auto why = co_await deps_.cloud.authorizer().why_denied(
        ctx, {"s3:DeleteObject", object_arn(ctx, in.bucket, object.key), {}}, policy);
    if (why) entry = failed_key(object, "AccessDenied", std::move(*why));
  }

  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteObjectsOutput> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    Store store(tx);
    DeleteObjectsOutput out;
    const auto fail_entry = [&](s3::Error error) {
      if (!out.errors) out.errors.emplace();
      out.errors->push_back(std::move(error));
    };
    for (size_t i = 0; i < objects.size(); ++i) {
      if (refused[i]) {
        fail_entry(*refused[i]);
        continue;
      }
      auto object = co_await store.find_object(in.bucket, objects[i].key);
      if (objects[i].etag && (!object || !names_etag(*objects[i].etag, object->etag))) {
        fail_entry(object ? failed_key(objects[i], "PreconditionFailed", precondition_failed("If-Match").message)
                          : failed_key(objects[i], "NoSuchKey", no_such_key(objects[i].key).message));
        continue;
      }
      if (object) co_await remove_object(tx, in.bucket, objects[i].key, std::move(*object));
      notify(ctx, tx, bucket, objects[i].key, nullptr, "ObjectRemoved:Delete");
      if (in.delete_.quiet.value_or(false)) continue;
      if (!out.deleted) out.deleted.emplace();
      out.deleted->push_back({.key = objects[i].key,
                              .version_id = objects[i].version_id,
                              .delete_marker = {},
                              .delete_marker_version_id = {}});
    }
    co_return out;
  });
}

}  // namespace virga::s3
