#include "services/s3/store.h"

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/s3/limits.h"

namespace virga::s3 {
namespace {

std::string bucket_key(std::string_view bucket) { return kv::KeyWriter("s3").raw("b").text(bucket).take(); }
// Names are global; what an account owns is found by this row of its own.
std::string owner_prefix(std::string_view account) { return kv::KeyWriter("s3").raw("a").text(account).take(); }
// Object keys come last and undelimited, so that a range of the store is a range of keys.
std::string object_prefix(std::string_view bucket) { return kv::KeyWriter("s3").raw("o").text(bucket).take(); }
std::string parts_key(std::string_view bucket, std::string_view key) {
  return kv::KeyWriter("s3").raw("p").text(bucket).raw(key).take();
}
std::string uploads_prefix(std::string_view bucket) { return kv::KeyWriter("s3").raw("u").text(bucket).take(); }
std::string upload_key(std::string_view bucket, std::string_view key, std::string_view id) {
  return kv::KeyWriter("s3").raw("u").text(bucket).text(key).raw(id).take();
}
std::string part_prefix(std::string_view bucket, std::string_view upload) {
  return kv::KeyWriter("s3").raw("q").text(bucket).text(upload).take();
}
std::string part_key(std::string_view bucket, std::string_view upload, uint32_t number) {
  return kv::KeyWriter("s3").raw("q").text(bucket).text(upload).u32(number).take();
}

template <class T>
std::optional<T> decoded(const std::optional<std::string>& bytes) {
  if (!bytes) return std::nullopt;
  return kv::decode<T>(*bytes);
}

}  // namespace

std::string new_upload_id(Time now) {
  std::string bytes;
  append_be64(bytes, static_cast<uint64_t>(now.micros));
  return cat(hex_encode(bytes), random_lower_alnum(48));
}

Task<std::optional<BucketRecord>> Store::find_bucket(std::string bucket) const {
  co_return decoded<BucketRecord>(co_await reader_.get(bucket_key(bucket)));
}

Task<std::vector<BucketRecord>> Store::list_buckets(std::string account, std::string prefix, std::string after,
                                                    size_t limit) const {
  const std::string all = owner_prefix(account);
  kv::Range range = kv::prefix_range(all + prefix);
  if (!after.empty()) range.begin = std::max(range.begin, all + after + '\0');
  std::vector<BucketRecord> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit}))
    out.push_back(kv::decode<BucketRecord>(entry.value));
  co_return out;
}

Task<std::optional<ObjectRecord>> Store::find_object(std::string bucket, std::string key) const {
  co_return decoded<ObjectRecord>(co_await reader_.get(object_prefix(bucket) + key));
}

Task<ObjectParts> Store::find_object_parts(std::string bucket, std::string key) const {
  co_return decoded<ObjectParts>(co_await reader_.get(parts_key(bucket, key))).value_or(ObjectParts{});
}

Task<std::vector<ObjectEntry>> Store::list_objects(std::string bucket, std::string from, std::string to,
                                                   size_t limit) const {
  const std::string all = object_prefix(bucket);
  const kv::Range range{all + from, to.empty() ? kv::prefix_end(all) : all + to};
  std::vector<ObjectEntry> out;
  for (const kv::Entry& entry : co_await reader_.scan(range, {.limit = limit, .byte_limit = kScanBytes})) {
    out.push_back({entry.key.substr(all.size()), kv::decode<ObjectRecord>(entry.value)});
  }
  co_return out;
}

Task<bool> Store::is_empty(std::string bucket) const {
  co_return (co_await reader_.scan(kv::prefix_range(object_prefix(bucket)), {.limit = 1})).empty();
}

Task<std::optional<UploadRecord>> Store::find_upload(std::string bucket, std::string key, std::string id) const {
  co_return decoded<UploadRecord>(co_await reader_.get(upload_key(bucket, key, id)));
}

Task<std::vector<UploadEntry>> Store::list_uploads(std::string bucket, std::string key, std::string id,
                                                   size_t limit) const {
  const std::string all = uploads_prefix(bucket);
  std::string begin = upload_key(bucket, key, id);
  // From a key alone: without the delimiter, so that keys which go on after it are not passed over.
  if (id.empty()) begin.resize(begin.size() - 2);
  std::vector<UploadEntry> out;
  for (const kv::Entry& entry :
       co_await reader_.scan({begin, kv::prefix_end(all)}, {.limit = limit, .byte_limit = kScanBytes})) {
    kv::KeyReader reader(std::string_view(entry.key).substr(all.size()));
    UploadEntry upload;
    upload.key = reader.text();
    upload.id = reader.rest();
    upload.upload = kv::decode<UploadRecord>(entry.value);
    out.push_back(std::move(upload));
  }
  co_return out;
}

Task<std::optional<PartRecord>> Store::find_part(std::string bucket, std::string upload, uint32_t number) const {
  co_return decoded<PartRecord>(co_await reader_.get(part_key(bucket, upload, number)));
}

Task<std::vector<PartEntry>> Store::list_parts(std::string bucket, std::string upload, uint32_t after,
                                               size_t limit) const {
  const std::string all = part_prefix(bucket, upload);
  std::vector<PartEntry> out;
  for (const kv::Entry& entry :
       co_await reader_.scan({part_key(bucket, upload, after + 1), kv::prefix_end(all)}, {.limit = limit})) {
    out.push_back(
        {kv::KeyReader(std::string_view(entry.key).substr(all.size())).u32(), kv::decode<PartRecord>(entry.value)});
  }
  co_return out;
}

void WriteStore::put_bucket(const BucketRecord& bucket) {
  tx_.put(bucket_key(bucket.name), kv::encode(bucket));
  BucketRecord listed{bucket.name, bucket.account, bucket.region, bucket.created, {}, {}};
  tx_.put(owner_prefix(bucket.account) + bucket.name, kv::encode(listed));
}
void WriteStore::erase_bucket(const BucketRecord& bucket) {
  tx_.erase(bucket_key(bucket.name));
  tx_.erase(owner_prefix(bucket.account) + bucket.name);
}
void WriteStore::put_object(const std::string& bucket, const std::string& key, const ObjectRecord& object) {
  tx_.put(object_prefix(bucket) + key, kv::encode(object));
}
void WriteStore::put_object_parts(const std::string& bucket, const std::string& key, const ObjectParts& parts) {
  tx_.put(parts_key(bucket, key), kv::encode(parts));
}
void WriteStore::erase_object_parts(const std::string& bucket, const std::string& key) {
  tx_.erase(parts_key(bucket, key));
}
void WriteStore::erase_object(const std::string& bucket, const std::string& key) {
  tx_.erase(object_prefix(bucket) + key);
}
void WriteStore::put_upload(const std::string& bucket, const std::string& key, const std::string& id,
                            const UploadRecord& upload) {
  tx_.put(upload_key(bucket, key, id), kv::encode(upload));
}
void WriteStore::erase_upload(const std::string& bucket, const std::string& key, const std::string& id) {
  tx_.erase(upload_key(bucket, key, id));
  tx_.erase_range(kv::prefix_range(part_prefix(bucket, id)));
}
void WriteStore::put_part(const std::string& bucket, const std::string& upload, uint32_t number,
                          const PartRecord& part) {
  tx_.put(part_key(bucket, upload, number), kv::encode(part));
}

}  // namespace virga::s3
