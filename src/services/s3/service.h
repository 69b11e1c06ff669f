#pragma once

#include <aws/s3/ops.h>
#include <aws/s3/types.h>

#include "blob/blob.h"
#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/s3/model.h"
#include "services/s3/store.h"

namespace virga::s3 {

using kernel::Ctx;

class S3Service final : public kernel::Service {
 public:
  explicit S3Service(kernel::Deps& deps) : deps_(deps) {}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  // Also makes ctx.account the bucket's owner, who is asked for permission; fails with NoSuchBucket.
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;

 private:
  // ops_bucket.cc
  Task<CreateBucketOutput> create_bucket(Ctx& ctx, const CreateBucketRequest& in);
  Task<op::DeleteBucket::Output> delete_bucket(Ctx& ctx, const DeleteBucketRequest& in);
  Task<HeadBucketOutput> head_bucket(Ctx& ctx, const HeadBucketRequest& in);
  Task<ListBucketsOutput> list_buckets(Ctx& ctx, const ListBucketsRequest& in);
  Task<GetBucketLocationOutput> get_bucket_location(Ctx& ctx, const GetBucketLocationRequest& in);

  // ops_object.cc
  Task<PutObjectOutput> put_object(Ctx& ctx, const PutObjectRequest& in);
  Task<GetObjectOutput> get_object(Ctx& ctx, const GetObjectRequest& in);
  Task<HeadObjectOutput> head_object(Ctx& ctx, const HeadObjectRequest& in);
  Task<DeleteObjectOutput> delete_object(Ctx& ctx, const DeleteObjectRequest& in);
  Task<DeleteObjectsOutput> delete_objects(Ctx& ctx, const DeleteObjectsRequest& in);

  // ops_copy.cc
  Task<CopyObjectOutput> copy_object(Ctx& ctx, const CopyObjectRequest& in);
  Task<ObjectRecord> find_source(Ctx& ctx, CopySource from, std::optional<std::string> expected_owner);
  Task<std::optional<UploadRecord>> find_upload(Ctx& ctx, std::string bucket, std::string key, std::string id,
                                                std::optional<std::string> expected_owner);
  // Nothing when the source changed meanwhile.
  Task<std::optional<CopyObjectOutput>> copy_once(Ctx& ctx, const CopyObjectRequest& in, CopySource from,
                                                  std::optional<Sum> sum);
  Task<UploadPartCopyOutput> upload_part_copy(Ctx& ctx, const UploadPartCopyRequest& in);

  // ops_list.cc
  Task<ListObjectsOutput> list_objects(Ctx& ctx, const ListObjectsRequest& in);
  Task<ListObjectsV2Output> list_objects_v2(Ctx& ctx, const ListObjectsV2Request& in);

  // ops_multipart.cc
  Task<CreateMultipartUploadOutput> create_multipart_upload(Ctx& ctx, const CreateMultipartUploadRequest& in);
  Task<UploadPartOutput> upload_part(Ctx& ctx, const UploadPartRequest& in);
  Task<CompleteMultipartUploadOutput> complete_multipart_upload(Ctx& ctx, const CompleteMultipartUploadRequest& in);
  Task<AbortMultipartUploadOutput> abort_multipart_upload(Ctx& ctx, const AbortMultipartUploadRequest& in);
  Task<ListPartsOutput> list_parts(Ctx& ctx, const ListPartsRequest& in);
  Task<ListMultipartUploadsOutput> list_multipart_uploads(Ctx& ctx, const ListMultipartUploadsRequest& in);

  // ops_policy.cc
  Task<op::PutBucketPolicy::Output> put_bucket_policy(Ctx& ctx, const PutBucketPolicyRequest& in);
  Task<GetBucketPolicyOutput> get_bucket_policy(Ctx& ctx, const GetBucketPolicyRequest& in);
  Task<op::DeleteBucketPolicy::Output> delete_bucket_policy(Ctx& ctx, const DeleteBucketPolicyRequest& in);

  // ops_notification.cc
  Task<op::PutBucketNotificationConfiguration::Output> put_bucket_notification(
      Ctx& ctx, const PutBucketNotificationConfigurationRequest& in);
  Task<NotificationConfiguration> get_bucket_notification(Ctx& ctx,
                                                          const GetBucketNotificationConfigurationRequest& in);
  // Asks a function, or sends a queue or topic AWS's test event: fails when the bucket may not tell it.
  Task<void> try_target(Ctx& ctx, const BucketRecord& bucket, std::string target);
  // Tells who wants to hear, within the transaction that makes the change; null: the object is gone. `what` as the
  // bucket's event names end: "ObjectCreated:Put".
  void notify(Ctx& ctx, kv::Txn& tx, const BucketRecord& bucket, const std::string& key, const ObjectRecord* object,
              std::string_view what);

  // ops_tagging.cc
  Task<op::PutBucketTagging::Output> put_bucket_tagging(Ctx& ctx, const PutBucketTaggingRequest& in);
  Task<GetBucketTaggingOutput> get_bucket_tagging(Ctx& ctx, const GetBucketTaggingRequest& in);
  Task<op::DeleteBucketTagging::Output> delete_bucket_tagging(Ctx& ctx, const DeleteBucketTaggingRequest& in);
  Task<PutObjectTaggingOutput> put_object_tagging(Ctx& ctx, const PutObjectTaggingRequest& in);
  Task<GetObjectTaggingOutput> get_object_tagging(Ctx& ctx, const GetObjectTaggingRequest& in);
  Task<DeleteObjectTaggingOutput> delete_object_tagging(Ctx& ctx, const DeleteObjectTaggingRequest& in);

  // Shared by them; content.cc.

  // Content that came in: on disk, and still nobody's.
  struct Received {
    blob::Ref content;
    Digest digest;
  };
  // Stores a body. Fails with BadDigest when it isn't what the client claimed, with EntityTooLarge past kMaxPut.
  Task<Received> receive(Body body, Claims claims, std::vector<Sum> sums);
  // Puts an object where perhaps another was, and the counts of their blobs right.
  Task<void> replace_object(kv::Txn& tx, std::string bucket, std::string key, ObjectRecord object, ObjectParts parts,
                            WriteConditions conditions);
  Task<void> remove_object(kv::Txn& tx, std::string bucket, std::string key, ObjectRecord object);
  // The blobs and rows of an upload, finished or given up.
  Task<void> remove_upload(kv::Txn& tx, std::string bucket, std::string key, std::string id);
  // Stores a part of an upload in progress.
  Task<PartRecord> put_part(Ctx& ctx, std::string bucket, std::string key, std::string upload, uint32_t number,
                            Received received);

  // The bucket of a request. Fails with NoSuchBucket, or AccessDenied when another account owns it than expected.
  Task<BucketRecord> require_bucket(Ctx& ctx, kv::Reader& reader, std::string bucket,
                                    std::optional<std::string> expected_owner);
  // Changes a bucket's record in a transaction of its own.
  Task<void> edit_bucket(Ctx& ctx, std::string bucket, std::optional<std::string> expected_owner,
                         std::function<void(BucketRecord&)> edit);
  // The object, or what the caller may know about its absence: NoSuchKey for who may list the bucket, else
  // AccessDenied.
  Task<ObjectRecord> require_object(Ctx& ctx, kv::Reader& reader, BucketRecord bucket, std::string key);

  kernel::Deps& deps_;
};

std::string bucket_arn(const Ctx& ctx, std::string_view bucket);
std::string object_arn(const Ctx& ctx, std::string_view bucket, std::string_view key);
// What S3 calls an account: 64 hex digits.
std::string canonical_user(std::string_view account);
Time whole_seconds(Time time);

}  // namespace virga::s3
