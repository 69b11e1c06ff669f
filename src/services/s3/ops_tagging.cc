#include <aws/s3/errors.h>

#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {

Task<op::PutBucketTagging::Output> S3Service::put_bucket_tagging(Ctx& ctx, const PutBucketTaggingRequest& in) {
  const Tags tags = tags_of(in.tagging.tag_set, kMaxBucketTags);
  co_await edit_bucket(ctx, in.bucket, in.expected_bucket_owner, [&](BucketRecord& bucket) { bucket.tags = tags; });
  co_return op::PutBucketTagging::Output{};
}

Task<GetBucketTaggingOutput> S3Service::get_bucket_tagging(Ctx& ctx, const GetBucketTaggingRequest& in) {
  const auto reader = deps_.db.snapshot();
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  if (bucket.tags.empty())
    co_return err::NoSuchTagSet("The TagSet does not exist", Json::object({{"BucketName", in.bucket}}));
  co_return GetBucketTaggingOutput{.tag_set = tag_list(bucket.tags)};
}

Task<op::DeleteBucketTagging::Output> S3Service::delete_bucket_tagging(Ctx& ctx, const DeleteBucketTaggingRequest& in) {
  co_await edit_bucket(ctx, in.bucket, in.expected_bucket_owner, [](BucketRecord& bucket) { bucket.tags.clear(); });
  co_return op::DeleteBucketTagging::Output{};
}

Task<PutObjectTaggingOutput> S3Service::put_object_tagging(Ctx& ctx, const PutObjectTaggingRequest& in) {
  refuse_unserved(in);
  const Tags tags = tags_of(in.tagging.tag_set, kMaxObjectTags);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    ObjectRecord object = co_await require_object(ctx, tx, bucket, in.key);
    object.tags = tags;
    WriteStore(tx).put_object(in.bucket, in.key, object);
    notify(ctx, tx, bucket, in.key, &object, "ObjectTagging:Put");
  });
  co_return PutObjectTaggingOutput{};
}

Task<GetObjectTaggingOutput> S3Service::get_object_tagging(Ctx& ctx, const GetObjectTaggingRequest& in) {
  refuse_unserved(in);
  const auto reader = deps_.db.snapshot();
  BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  const ObjectRecord object = co_await require_object(ctx, *reader, std::move(bucket), in.key);
  GetObjectTaggingOutput out;
  out.tag_set = tag_list(object.tags);
  co_return out;
}

Task<DeleteObjectTaggingOutput> S3Service::delete_object_tagging(Ctx& ctx, const DeleteObjectTaggingRequest& in) {
  refuse_unserved(in);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
    ObjectRecord object = co_await require_object(ctx, tx, bucket, in.key);
    object.tags.clear();
    WriteStore(tx).put_object(in.bucket, in.key, object);
    notify(ctx, tx, bucket, in.key, &object, "ObjectTagging:Delete");
  });
  co_return DeleteObjectTaggingOutput{};
}

}  // namespace virga::s3
