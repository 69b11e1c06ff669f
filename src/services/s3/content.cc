// What every operation that stores content does: take it in, and put it in another's place.
#include <aws/s3/errors.h>

#include "base/json.h"
#include "base/str.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {

Task<S3Service::Received> S3Service::receive(Body body, Claims claims, std::vector<Sum> sums) {
  if (claims.checksum) sums.push_back(claims.checksum->sum);
  Digest digest(std::move(sums));
  const auto writer = deps_.blobs.create();
  while (body) {
    const auto chunk = co_await body->next();
    if (!chunk) break;
    digest.update(*chunk);
    if (digest.size() > kMaxPut) {
      co_return err::EntityTooLarge("Your proposed upload exceeds the maximum allowed size",
                                    Json::object({{"ProposedSize", digest.size()}, {"MaxSizeAllowed", kMaxPut}}));
    }
    co_await writer->write(*chunk);
  }
  digest.finish();
  check_claims(claims, digest);
  blob::Ref content = co_await writer->finish();
  co_return Received{std::move(content), std::move(digest)};
}

Task<void> S3Service::replace_object(kv::Txn& tx, std::string bucket, std::string key, ObjectRecord object,
                                     ObjectParts parts, WriteConditions conditions) {
  WriteStore store(tx);
  const auto current = co_await store.find_object(bucket, key);
  check_write(conditions, current ? &*current : nullptr, key);
  // Held before the other is let go: both may be the same blob.
  co_await deps_.blobs.keep(tx, object.content);
  if (current) {
    co_await deps_.blobs.drop(tx, current->content);
    if (current->parts) store.erase_object_parts(bucket, key);
  }
  if (object.parts) store.put_object_parts(bucket, key, parts);
  store.put_object(bucket, key, object);
}

Task<void> S3Service::remove_object(kv::Txn& tx, std::string bucket, std::string key, ObjectRecord object) {
  WriteStore store(tx);
  co_await deps_.blobs.drop(tx, object.content);
  if (object.parts) store.erase_object_parts(bucket, key);
  store.erase_object(bucket, key);
}

Task<void> S3Service::remove_upload(kv::Txn& tx, std::string bucket, std::string key, std::string id) {
  WriteStore store(tx);
  for (const PartEntry& entry : co_await store.list_parts(bucket, id, 0, kMaxPartNumber)) {
    co_await deps_.blobs.drop(tx, entry.part.content);
  }
  store.erase_upload(bucket, key, id);
}

Task<PartRecord> S3Service::put_part(Ctx& ctx, std::string bucket, std::string key, std::string id, uint32_t number,
                                     Received received) {
  const Time now = whole_seconds(ctx.now());
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PartRecord> {
    WriteStore store(tx);
    const auto upload = co_await store.find_upload(bucket, key, id);
    if (!upload) co_return no_such_upload(id);
    PartRecord part{received.content, received.digest.md5(), now, received.digest.checksum(upload->sum)};
    const auto former = co_await store.find_part(bucket, id, number);
    co_await deps_.blobs.keep(tx, part.content);
    if (former) co_await deps_.blobs.drop(tx, former->content);
    store.put_part(bucket, id, number, part);
    co_return part;
  });
}

}  // namespace virga::s3
