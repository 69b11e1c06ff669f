#include <aws/s3/errors.h>

#include "base/encoding.h"
#include "base/str.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {
namespace {

template <class In>
void check_source(const In& in, const ObjectRecord& source) {
  const Conditions conditions{in.copy_source_if_match, in.copy_source_if_none_match, in.copy_source_if_modified_since,
                              in.copy_source_if_unmodified_since};
  // A copy has nothing to answer "not modified" with.
  if (is_unmodified(conditions, source.etag, source.modified)) {
    throw precondition_failed(in.copy_source_if_none_match ? "x-amz-copy-source-if-none-match"
                                                           : "x-amz-copy-source-if-modified-since");
  }
}

bool replaces(const CopyObjectRequest& in) {
  return in.metadata_directive && *in.metadata_directive == MetadataDirective::REPLACE;
}

// The copy's own record but for its content.
ObjectRecord copied(const CopyObjectRequest& in, const ObjectRecord& source, Time now) {
  ObjectRecord out;
  out.attributes = replaces(in) ? attributes_of(in) : source.attributes;
  // The class is the target's own, whatever the directive.
  out.attributes.storage_class = in.storage_class.value_or("STANDARD");
  const bool own_tags = in.tagging_directive && *in.tagging_directive == TaggingDirective::REPLACE;
  out.tags = own_tags ? parse_tagging(in.tagging.value_or(""), kMaxObjectTags) : source.tags;
  out.modified = now;
  return out;
}

}  // namespace

// Both let go of the snapshot that they look at: what follows may take long.
Task<ObjectRecord> S3Service::find_source(Ctx& ctx, CopySource from, std::optional<std::string> expected_owner) {
  const auto reader = deps_.db.snapshot();
  BucketRecord bucket = co_await require_bucket(ctx, *reader, from.bucket, std::move(expected_owner));
  co_return co_await require_object(ctx, *reader, std::move(bucket), from.key);
}

Task<std::optional<UploadRecord>> S3Service::find_upload(Ctx& ctx, std::string bucket, std::string key, std::string id,
                                                         std::optional<std::string> expected_owner) {
  const auto reader = deps_.db.snapshot();
  co_await require_bucket(ctx, *reader, bucket, std::move(expected_owner));
  co_return co_await Store(*reader).find_upload(bucket, key, id);
}

Task<CopyObjectOutput> S3Service::copy_object(Ctx& ctx, const CopyObjectRequest& in) {
  refuse_unserved(in);
  const CopySource from = parse_copy_source(in.copy_source);
  if (in.storage_class) check_storage_class(*in.storage_class);
  std::optional<Sum> sum;
  if (in.checksum_algorithm) {
    sum = sum_of(*in.checksum_algorithm);
    if (!sum) co_return not_implemented(cat("x-amz-checksum-algorithm: ", to_string(*in.checksum_algorithm)));
  }
  // The source may change between being looked at and being copied: then it is looked at again.
  for (int attempt = 0; attempt < kCopyAttempts; ++attempt) {
    auto out = co_await copy_once(ctx, in, from, sum);
    if (out) co_return std::move(*out);
  }
  co_return err::ConditionalRequestConflict("The copy source changed while it was being copied. Please try again.");
}

Task<std::optional<CopyObjectOutput>> S3Service::copy_once(Ctx& ctx, const CopyObjectRequest& in, CopySource from,
                                                           std::optional<Sum> sum) {
  const Time now = whole_seconds(ctx.now());

  const ObjectRecord source = co_await find_source(ctx, from, in.expected_source_bucket_owner);
  check_source(in, source);
  if (source.content.size > kMaxPut) {
    co_return err::InvalidRequest(
        cat("The specified copy source is larger than the maximum allowable size for a copy source: ", kMaxPut));
  }
  if (from.bucket == in.bucket && from.key == in.key && !replaces(in) &&
      in.storage_class.value_or(source.attributes.storage_class) == source.attributes.storage_class && !sum) {
    co_return err::InvalidRequest(
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
        "metadata, storage "
        "class, website redirect location or encryption attributes.");
  }

  // The content is shared, not copied. It is read only for what its record can't tell of a whole object: the MD5 of one
  // that came in parts, or another checksum.
  ObjectRecord object = copied(in, source, now);
  object.content = source.content;
  object.etag = source.etag;
  object.checksum = source.checksum;
  const bool whole = source.checksum && !source.checksum->composite_of;
  if (source.parts || !whole || (sum && source.checksum->sum != *sum)) {
    const Sum wanted = sum.value_or(source.checksum ? source.checksum->sum : Sum::kCrc64Nvme);
    Digest digest({wanted});
    const Body content = deps_.blobs.read(source.content);
    while (const auto chunk = co_await content->next()) digest.update(*chunk);
    digest.finish();
    object.etag = hex_encode(digest.md5());
    object.checksum = digest.checksum(wanted);
  }

  const WriteConditions conditions{in.if_match, in.if_none_match};
  const bool copied_it = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<bool> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    // While the source holds its blob, the copy can join it.
    const auto still = co_await Store(tx).find_object(from.bucket, from.key);
    if (!still || still->content.id != source.content.id || still->etag != source.etag) co_return false;
    co_await replace_object(tx, in.bucket, in.key, object, {}, conditions);
    notify(ctx, tx, bucket, in.key, &object, "ObjectCreated:Copy");
    co_return true;
  });
  if (!copied_it) co_return std::nullopt;

  CopyObjectOutput out;
  CopyObjectResult& result = out.copy_object_result.emplace();
  result.etag = etag_header(object.etag);
  result.last_modified = object.modified;
  show_checksum(result, *object.checksum);
  co_return out;
}

Task<UploadPartCopyOutput> S3Service::upload_part_copy(Ctx& ctx, const UploadPartCopyRequest& in) {
  refuse_unserved(in);
  check_part_number(in.part_number);
  check_upload_id(in.upload_id);
  const CopySource from = parse_copy_source(in.copy_source);

  const ObjectRecord source = co_await find_source(ctx, from, in.expected_source_bucket_owner);
  check_source(in, source);
  const auto upload = co_await find_upload(ctx, in.bucket, in.key, in.upload_id, in.expected_bucket_owner);
  if (!upload) co_return no_such_upload(in.upload_id);
  Slice slice{0, source.content.size};
  if (in.copy_source_range) slice = parse_copy_range(*in.copy_source_range, source.content.size);
  if (slice.length > kMaxPut) {
    co_return err::InvalidRequest(
        cat("The specified copy source is larger than the maximum allowable size for a copy source: ", kMaxPut));
  }

  Received received = co_await receive(deps_.blobs.read(source.content, slice.offset, slice.length), {}, {upload->sum});
  const PartRecord part = co_await put_part(ctx, in.bucket, in.key, in.upload_id, static_cast<uint32_t>(in.part_number),
                                            std::move(received));

  UploadPartCopyOutput out;
  CopyPartResult& result = out.copy_part_result.emplace();
  result.etag = etag_header(hex_encode(part.md5));
  result.last_modified = part.modified;
  if (upload->sum_named) show_checksum(result, part.checksum);
  co_return out;
}

}  // namespace virga::s3
