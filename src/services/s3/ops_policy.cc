#include <aws/s3/errors.h>

#include "services/s3/service.h"

namespace virga::s3 {

Task<op::PutBucketPolicy::Output> S3Service::put_bucket_policy(Ctx& ctx, const PutBucketPolicyRequest& in) {
  check_policy(in.policy, in.bucket);
  co_await edit_bucket(ctx, in.bucket, in.expected_bucket_owner,
                       [&](BucketRecord& bucket) { bucket.policy = in.policy; });
  co_return op::PutBucketPolicy::Output{};
}

Task<GetBucketPolicyOutput> S3Service::get_bucket_policy(Ctx& ctx, const GetBucketPolicyRequest& in) {
  const auto reader = deps_.db.snapshot();
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);
  if (!bucket.policy) {
    co_return err::NoSuchBucketPolicy("The bucket policy does not exist", Json::object({{"BucketName", in.bucket}}));
  }
  co_return GetBucketPolicyOutput{.policy = bucket.policy};
}

Task<op::DeleteBucketPolicy::Output> S3Service::delete_bucket_policy(Ctx& ctx, const DeleteBucketPolicyRequest& in) {
  co_await edit_bucket(ctx, in.bucket, in.expected_bucket_owner, [](BucketRecord& bucket) { bucket.policy.reset(); });
  co_return op::DeleteBucketPolicy::Output{};
}

}  // namespace virga::s3
