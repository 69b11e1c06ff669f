#include <aws/s3/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {
namespace {

// How the finished object's checksum is made, by what the client named.
void choose_checksum(UploadRecord& upload, const CreateMultipartUploadRequest& in) {
  if (in.checksum_algorithm) {
    const auto sum = sum_of(*in.checksum_algorithm);
    if (!sum) throw not_implemented(cat("x-amz-checksum-algorithm: ", to_string(*in.checksum_algorithm)));
    upload.sum = *sum;
    upload.sum_named = true;
  } else if (in.checksum_type) {
    throw err::InvalidRequest(
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
  }
  upload.composite = upload.sum != Sum::kCrc64Nvme;
  if (!in.checksum_type) return;
  upload.composite = *in.checksum_type == ChecksumType::COMPOSITE;
  if (upload.composite ? upload.sum == Sum::kCrc64Nvme : !is_crc(upload.sum)) {
    throw err::InvalidRequest(cat("The ", to_string(*in.checksum_type), " checksum type cannot be used with the ",
                                  lower(name_of(upload.sum)), " checksum algorithm."));
  }
}

ChecksumType type_of(const UploadRecord& upload) {
  return upload.composite ? ChecksumType::COMPOSITE : ChecksumType::FULL_OBJECT;
}

}  // namespace

Task<CreateMultipartUploadOutput> S3Service::create_multipart_upload(Ctx& ctx, const CreateMultipartUploadRequest& in) {
  refuse_unserved(in);
  UploadRecord upload;
  upload.attributes = attributes_of(in);
  if (in.tagging) upload.tags = parse_tagging(*in.tagging, kMaxObjectTags);
  choose_checksum(upload, in);
  upload.initiated = ctx.now();
  upload.initiator = ctx.principal.arn;
  const std::string id = new_upload_id(upload.initiated);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    WriteStore(tx).put_upload(in.bucket, in.key, id, upload);
  });
  CreateMultipartUploadOutput out;
  out.bucket = in.bucket;
  out.key = in.key;
  out.upload_id = id;
  if (upload.sum_named) {
    out.checksum_algorithm = in.checksum_algorithm;
    out.checksum_type = type_of(upload);
  }
  co_return out;
}

Task<UploadPartOutput> S3Service::upload_part(Ctx& ctx, const UploadPartRequest& in) {
  refuse_unserved(in);
  check_part_number(in.part_number);
  check_upload_id(in.upload_id);
  Claims claims{parse_content_md5(in.content_md5), claimed_checksum(in)};
  const auto upload = co_await find_upload(ctx, in.bucket, in.key, in.upload_id, in.expected_bucket_owner);
  if (!upload) co_return no_such_upload(in.upload_id);
  std::optional<Sum> stated;
  if (claims.checksum) stated = claims.checksum->sum;
  if (!stated && in.checksum_algorithm) stated = sum_of(*in.checksum_algorithm);
  if (upload->sum_named && stated && *stated != upload->sum) {
    co_return err::InvalidRequest(
        cat("Checksum Type mismatch occurred, expected checksum Type: ", lower(name_of(upload->sum)),
            ", actual checksum Type: ", lower(name_of(*stated))));
  }
  std::vector<Sum> sums{upload->sum};
  if (stated) sums.push_back(*stated);
  Received received = co_await receive(in.body, std::move(claims), std::move(sums));

  UploadPartOutput out;
  out.etag = etag_header(hex_encode(received.digest.md5()));
  if (stated || upload->sum_named) show_checksum(out, received.digest.checksum(stated.value_or(upload->sum)));
  co_await put_part(ctx, in.bucket, in.key, in.upload_id, static_cast<uint32_t>(in.part_number), std::move(received));
  co_return out;
}

namespace {

virga::Error invalid_part(const CompleteMultipartUploadRequest& in, const CompletedPart& part) {
  return err::InvalidPart(
      "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
      "entity tag may not "
      "match the part's entity tag.",
      Json::object({{"UploadId", in.upload_id},
                    {"PartNumber", part.part_number.value_or(0)},
                    {"ETag", part.etag.value_or("")}}));
}

// What an upload becomes, decided from what is stored of it.
struct Assembly {
  std::vector<blob::Ref> contents;
  std::string etag;
  Checksum checksum;
  ObjectParts parts;
  bool operator==(const Assembly& other) const {
    return etag == other.etag && checksum == other.checksum &&
           std::ranges::equal(contents, other.contents,
                              [](const blob::Ref& a, const blob::Ref& b) { return a.id == b.id && a.size == b.size; });
  }
};

// Throws MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall, InvalidRequest.
Assembly assemble(const CompleteMultipartUploadRequest& in, const UploadRecord& upload,
                  const std::vector<PartEntry>& stored) {
  Assembly out;
  const std::vector<CompletedPart> none;
  const auto& wanted = in.multipart_upload && in.multipart_upload->parts ? *in.multipart_upload->parts : none;
  if (wanted.empty() || wanted.size() > static_cast<size_t>(kMaxPartNumber)) {
    throw err::MalformedXML(
        "The XML you provided was not well-formed or did not validate against our published schema");
  }
  int32_t before = 0;
  for (const CompletedPart& part : wanted) {
    if (!part.part_number || !part.etag) {
      throw err::MalformedXML(
          "The XML you provided was not well-formed or did not validate against our published schema");
    }
    if (*part.part_number <= before) {
      throw err::InvalidPartOrder("The list of parts was not in ascending order. Parts must be ordered by part number.",
                                  Json::object({{"UploadId", in.upload_id}}));
    }
    before = *part.part_number;
  }

  std::string digests;
  std::vector<PartSum> sums;
  uint64_t size = 0;
  for (const CompletedPart& part : wanted) {
    const auto number = static_cast<uint32_t>(*part.part_number);
    const auto found = std::ranges::lower_bound(stored, number, {}, &PartEntry::number);
    if (found == stored.end() || found->number != number) throw invalid_part(in, part);
    const PartRecord& record = found->part;
    if (bare_etag(*part.etag) != hex_encode(record.md5)) throw invalid_part(in, part);
    const auto claimed = claimed_checksum(part);
    if (claimed && claimed->sum == record.checksum.sum && claimed->bytes != record.checksum.bytes)
      throw invalid_part(in, part);
    if (&part != &wanted.back() && record.content.size < kMinPart) {
      throw err::EntityTooSmall("Your proposed upload is smaller than the minimum allowed size",
                                Json::object({{"ProposedSize", record.content.size},
                                              {"MinSizeAllowed", kMinPart},
                                              {"PartNumber", *part.part_number},
                                              {"ETag", hex_encode(record.md5)}}));
    }
    out.contents.push_back(record.content);
    out.parts.parts.push_back({found->number, record.content.size, record.checksum.bytes});
    digests += record.md5;
    sums.push_back({record.checksum.bytes, record.content.size});
    size += record.content.size;
  }
  if (size > kMaxObject) throw err::EntityTooLarge("Your proposed upload exceeds the maximum allowed object size.");
  if (in.mpu_object_size && static_cast<uint64_t>(*in.mpu_object_size) != size) {
    throw err::InvalidRequest(cat("The provided 'x-amz-mp-object-size' header value ", *in.mpu_object_size,
                                  " does not match what was computed: ", size));
  }
  out.etag = cat(hex_encode(md5(digests)), '-', wanted.size());
  out.checksum = upload.composite ? compose(upload.sum, sums) : combine(upload.sum, sums);
  return out;
}

// The checksum of the whole that the client may state: of a composite one, with or without its number of parts.
void check_stated(const CompleteMultipartUploadRequest& in, const UploadRecord& upload, const Checksum& checksum) {
  if (in.checksum_type && *in.checksum_type != type_of(upload)) {
    throw err::InvalidRequest(cat("The upload was created using the ", to_string(type_of(upload)),
                                  " checksum mode. The complete request must use the same checksum mode."));
  }
  CompleteMultipartUploadRequest plain;
  const auto bare = [](const std::optional<std::string>& text) {
    return text ? std::optional<std::string>(split_once(*text, '-').first) : std::nullopt;
  };
  plain.checksum_crc32 = bare(in.checksum_crc32);
  plain.checksum_crc32c = bare(in.checksum_crc32c);
  plain.checksum_crc64nvme = bare(in.checksum_crc64nvme);
  plain.checksum_sha1 = bare(in.checksum_sha1);
  plain.checksum_sha256 = bare(in.checksum_sha256);
  const auto claimed = claimed_checksum(plain);
  if (claimed && (claimed->sum != checksum.sum || claimed->bytes != checksum.bytes)) {
    throw err::BadDigest(
        cat("The ", lower(name_of(claimed->sum)), " you specified did not match the calculated checksum."));
  }
}

CompleteMultipartUploadOutput completed(const Ctx& ctx, const CompleteMultipartUploadRequest& in,
                                        const ObjectRecord& object) {
  CompleteMultipartUploadOutput out;
  out.location = cat(ctx.base_url, "/", in.bucket, "/", percent_encode(in.key, true));
  out.bucket = in.bucket;
  out.key = in.key;
  out.etag = etag_header(object.etag);
  show_checksum(out, *object.checksum);
  return out;
}

}  // namespace

Task<CompleteMultipartUploadOutput> S3Service::complete_multipart_upload(Ctx& ctx,
                                                                         const CompleteMultipartUploadRequest& in) {
  refuse_unserved(in);
  check_upload_id(in.upload_id);
  std::optional<UploadRecord> upload;
  Assembly assembly;
  {
    const auto reader = deps_.db.snapshot();
    const Store store(*reader);
    co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
    upload = co_await store.find_upload(in.bucket, in.key, in.upload_id);
    if (!upload) {
      // A client that did not hear the answer asks again.
      const auto object = co_await store.find_object(in.bucket, in.key);
      if (object && object->upload_id == in.upload_id) co_return completed(ctx, in, *object);
      co_return no_such_upload(in.upload_id);
    }
    assembly = assemble(in, *upload, co_await store.list_parts(in.bucket, in.upload_id, 0, kMaxPartNumber));
  }
  check_stated(in, *upload, assembly.checksum);

  ObjectRecord object;
  object.content = co_await deps_.blobs.concat(assembly.contents);
  object.etag = assembly.etag;
  object.modified = whole_seconds(ctx.now());
  object.attributes = upload->attributes;
  object.tags = upload->tags;
  object.checksum = assembly.checksum;
  object.parts = static_cast<uint32_t>(assembly.parts.parts.size());
  object.upload_id = in.upload_id;

  const WriteConditions conditions{in.if_match, in.if_none_match};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const Store store(tx);
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    if (!co_await store.find_upload(in.bucket, in.key, in.upload_id)) co_await fail(no_such_upload(in.upload_id));
    // A part that was replaced meanwhile is not what was put together.
    if (assemble(in, *upload, co_await store.list_parts(in.bucket, in.upload_id, 0, kMaxPartNumber)) != assembly) {
      co_await fail(err::OperationAborted(
          "A conflicting conditional operation is currently in progress against this resource. Please try again."));
    }
    co_await replace_object(tx, in.bucket, in.key, object, assembly.parts, conditions);
    notify(ctx, tx, bucket, in.key, &object, "ObjectCreated:CompleteMultipartUpload");
    co_await remove_upload(tx, in.bucket, in.key, in.upload_id);
  });
  co_return completed(ctx, in, object);
}

Task<AbortMultipartUploadOutput> S3Service::abort_multipart_upload(Ctx& ctx, const AbortMultipartUploadRequest& in) {
  refuse_unserved(in);
  check_upload_id(in.upload_id);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    if (!co_await Store(tx).find_upload(in.bucket, in.key, in.upload_id)) co_await fail(no_such_upload(in.upload_id));
    co_await remove_upload(tx, in.bucket, in.key, in.upload_id);
  });
  co_return AbortMultipartUploadOutput{};
}

Task<ListPartsOutput> S3Service::list_parts(Ctx& ctx, const ListPartsRequest& in) {
  refuse_unserved(in);
  check_upload_id(in.upload_id);
  const int32_t most = page_size(in.max_parts, "max-parts", kMaxPage);
  const int32_t after =
      std::min(page_size(in.part_number_marker, "part-number-marker", kMaxPartNumber), kMaxPartNumber);
  const auto reader = deps_.db.snapshot();
  const Store store(*reader);
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  const auto upload = co_await store.find_upload(in.bucket, in.key, in.upload_id);
  if (!upload) co_return no_such_upload(in.upload_id);
  auto parts = co_await store.list_parts(
      in.bucket, in.upload_id, in.part_number_marker ? static_cast<uint32_t>(after) : 0, static_cast<size_t>(most) + 1);
  ListPartsOutput out;
  out.is_truncated = parts.size() > static_cast<size_t>(most);
  if (*out.is_truncated) parts.pop_back();
  out.bucket = in.bucket;
  out.key = in.key;
  out.upload_id = in.upload_id;
  out.part_number_marker = in.part_number_marker ? after : 0;
  out.next_part_number_marker = parts.empty() ? 0 : static_cast<int32_t>(parts.back().number);
  out.max_parts = most;
  out.storage_class = upload->attributes.storage_class;
  out.owner = Owner{.display_name = {}, .id = canonical_user(bucket.account)};
  out.initiator = Initiator{.id = upload->initiator, .display_name = {}};
  if (upload->sum_named) {
    out.checksum_algorithm = algorithm_of(upload->sum);
    out.checksum_type = type_of(*upload);
  }
  out.parts.emplace();
  for (const PartEntry& entry : parts) {
    Part& part = out.parts->emplace_back();
    part.part_number = static_cast<int32_t>(entry.number);
    part.last_modified = entry.part.modified;
    part.etag = etag_header(hex_encode(entry.part.md5));
    part.size = static_cast<int64_t>(entry.part.content.size);
    if (upload->sum_named) show_checksum(part, entry.part.checksum);
  }
  co_return out;
}

Task<ListMultipartUploadsOutput> S3Service::list_multipart_uploads(Ctx& ctx, const ListMultipartUploadsRequest& in) {
  if (in.prefix) check_key(*in.prefix);
  if (in.delimiter) check_key(*in.delimiter);
  if (in.key_marker) check_key(*in.key_marker);
  if (in.upload_id_marker) check_upload_id(*in.upload_id_marker);
  const auto most = static_cast<size_t>(page_size(in.max_uploads, "max-uploads", kMaxPage));
  const std::string key_marker = in.key_marker.value_or("");
  const std::string id_marker = key_marker.empty() ? "" : in.upload_id_marker.value_or("");
  const auto reader = deps_.db.snapshot();
  const Store store(*reader);
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);

  const auto spelled = [&](const std::string& text) { return in.encoding_type ? percent_encode(text, true) : text; };
  ListMultipartUploadsOutput out;
  out.uploads.emplace();
  out.common_prefixes.emplace();
  // Several uploads may share a key, so the walk is told each key once and remembers which one it is on.
  Listing listing(in.prefix.value_or(""), in.delimiter.value_or(""), id_marker.empty() ? key_marker : "", SIZE_MAX);
  std::string from_key = std::max(listing.from(), id_marker.empty() ? std::string() : key_marker), from_id;
  if (!id_marker.empty() && from_key == key_marker) from_id = id_marker + '\0';
  size_t count = 0;
  bool full = most == 0, over = full;
  std::string last_key, last_id;
  while (!over) {
    const auto rows = co_await store.list_uploads(in.bucket, from_key, from_id, kMaxPage);
    over = rows.empty();
    for (const UploadEntry& row : rows) {
      if (!row.key.starts_with(in.prefix.value_or(""))) over = true;
      if (over) break;
      from_key = row.key;
      from_id = row.id + '\0';
      const bool same_key = row.key == last_key && !last_id.empty();
      if (!same_key && row.key < listing.from()) continue;  // inside a common prefix that is shown already
      if (count == most) {
        out.is_truncated = over = true;
        break;
      }
      ++count;
      last_key = row.key;
      if (!same_key && !listing.take(row.key)) {
        last_key = listing.last();
        last_id.clear();
        out.common_prefixes->push_back({.prefix = spelled(last_key)});
        from_key = listing.from();
        from_id.clear();
        break;  // nothing more of this prefix is read
      }
      last_id = row.id;
      MultipartUpload& upload = out.uploads->emplace_back();
      upload.key = spelled(row.key);
      upload.upload_id = row.id;
      upload.initiated = row.upload.initiated;
      upload.storage_class = row.upload.attributes.storage_class;
      upload.owner = Owner{.display_name = {}, .id = canonical_user(bucket.account)};
      upload.initiator = Initiator{.id = row.upload.initiator, .display_name = {}};
      if (row.upload.sum_named) {
        upload.checksum_algorithm = algorithm_of(row.upload.sum);
        upload.checksum_type = type_of(row.upload);
      }
    }
  }
  out.bucket = in.bucket;
  out.key_marker = spelled(key_marker);
  out.upload_id_marker = id_marker;
  out.prefix = spelled(in.prefix.value_or(""));
  if (in.delimiter) out.delimiter = spelled(*in.delimiter);
  out.max_uploads = static_cast<int32_t>(most);
  out.encoding_type = in.encoding_type;
  if (!out.is_truncated) out.is_truncated = false;
  if (*out.is_truncated) {
    out.next_key_marker = spelled(last_key);
    out.next_upload_id_marker = last_id;
  }
  co_return out;
}

}  // namespace virga::s3
