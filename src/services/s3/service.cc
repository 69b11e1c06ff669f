#include "services/s3/service.h"

#include <aws/s3/errors.h>
#include <aws/s3/model.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "services/s3/api.h"
#include "services/s3/limits.h"

namespace virga::s3 {

std::string bucket_arn(const Ctx& ctx, std::string_view bucket) { return kernel::global_arn(ctx, "s3", bucket); }
std::string object_arn(const Ctx& ctx, std::string_view bucket, std::string_view key) {
  return kernel::global_arn(ctx, "s3", cat(bucket, '/', key));
}
std::string canonical_user(std::string_view account) { return hex_encode(sha256(cat("canonical user of ", account))); }
Time whole_seconds(Time time) { return Time::from_seconds(time.seconds()); }

namespace {

using kernel::Access;

Access about(std::string action, std::string resource) { return {std::move(action), std::move(resource), {}}; }

template <class T>
void condition(Access& access, std::string_view key, const std::optional<T>& value) {
  if (value) access.conditions.emplace_back(key, std::vector<std::string>{cat(*value)});
}

template <class In>
std::string by_bucket(const Ctx& ctx, const In& in) {
  return bucket_arn(ctx, in.bucket);
}
template <class In>
std::string by_object(const Ctx& ctx, const In& in) {
  return object_arn(ctx, in.bucket, in.key);
}

template <class In>
std::vector<Access> listing(const Ctx& ctx, const In& in) {
  Access access = about("s3:ListBucket", bucket_arn(ctx, in.bucket));
  condition(access, "s3:prefix", in.prefix);
  condition(access, "s3:delimiter", in.delimiter);
  condition(access, "s3:max-keys", in.max_keys);
  return {access};
}

void with_request_tags(Access& access, const Tags& tags) {
  if (tags.empty()) return;
  std::vector<std::string> keys;
  for (const auto& [key, value] : tags) {
    access.conditions.push_back({cat("s3:RequestObjectTag/", key), {value}});
    keys.push_back(key);
  }
  access.conditions.emplace_back("s3:RequestObjectTagKeys", std::move(keys));
}

// PutObject on the key, and PutObjectTagging when it comes with tags.
template <class In>
std::vector<Access> writing(const Ctx& ctx, const In& in) {
  std::vector<Access> all{about("s3:PutObject", object_arn(ctx, in.bucket, in.key))};
  condition(all[0], "s3:x-amz-storage-class", in.storage_class);
  if (in.acl) all[0].conditions.push_back({"s3:x-amz-acl", {std::string(to_string(*in.acl))}});
  if constexpr (requires { in.if_none_match; }) {
    condition(all[0], "s3:if-none-match", in.if_none_match);
    condition(all[0], "s3:if-match", in.if_match);
  }
  if (in.tagging && !in.tagging->empty()) {
    const Tags tags = parse_tagging(*in.tagging, kMaxObjectTags);
    with_request_tags(all[0], tags);
    all.push_back(about("s3:PutObjectTagging", object_arn(ctx, in.bucket, in.key)));
    with_request_tags(all[1], tags);
  }
  return all;
}

std::vector<Access> copying(const Ctx& ctx, const CopyObjectRequest& in) {
  const CopySource source = parse_copy_source(in.copy_source);
  std::vector<Access> all{about("s3:GetObject", object_arn(ctx, source.bucket, source.key))};
  for (Access& access : writing(ctx, in)) {
    access.conditions.push_back({"s3:x-amz-copy-source", {cat(source.bucket, '/', source.key)}});
    if (in.metadata_directive) {
      access.conditions.push_back({"s3:x-amz-metadata-directive", {std::string(to_string(*in.metadata_directive))}});
    }
    all.push_back(std::move(access));
  }
  return all;
}

std::vector<Access> copying_part(const Ctx& ctx, const UploadPartCopyRequest& in) {
  const CopySource source = parse_copy_source(in.copy_source);
  Access writes = about("s3:PutObject", object_arn(ctx, in.bucket, in.key));
  writes.conditions.push_back({"s3:x-amz-copy-source", {cat(source.bucket, '/', source.key)}});
  return {about("s3:GetObject", object_arn(ctx, source.bucket, source.key)), writes};
}

std::vector<Access> tagging(const Ctx& ctx, const PutObjectTaggingRequest& in) {
  Access access = about("s3:PutObjectTagging", object_arn(ctx, in.bucket, in.key));
  with_request_tags(access, tags_of(in.tagging.tag_set, kMaxObjectTags));
  return {access};
}

std::vector<Access> creating(const Ctx& ctx, const CreateBucketRequest& in) {
  Access access = about("s3:CreateBucket", bucket_arn(ctx, in.bucket));
  if (in.create_bucket_configuration)
    condition(access, "s3:locationconstraint", in.create_bucket_configuration->location_constraint);
  return {access};
}

}  // namespace

const wire::ServiceModel& S3Service::model() const { return kModel; }

// Actions and resources: docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
void S3Service::operations(kernel::OpTable& t) {
  t.add<op::CreateBucket>(this, &S3Service::create_bucket).access(creating);
  t.add<op::DeleteBucket>(this, &S3Service::delete_bucket).resource(by_bucket<DeleteBucketRequest>).guarded();
  t.add<op::HeadBucket>(this, &S3Service::head_bucket)
      .action("s3:ListBucket")
      .resource(by_bucket<HeadBucketRequest>)
      .guarded()
      .data_plane();
  t.add<op::ListBuckets>(this, &S3Service::list_buckets).action("s3:ListAllMyBuckets");
  t.add<op::GetBucketLocation>(this, &S3Service::get_bucket_location)
      .resource(by_bucket<GetBucketLocationRequest>)
      .guarded();

  t.add<op::PutBucketPolicy>(this, &S3Service::put_bucket_policy).resource(by_bucket<PutBucketPolicyRequest>).guarded();
  t.add<op::PutBucketNotificationConfiguration>(this, &S3Service::put_bucket_notification)
      .action("s3:PutBucketNotification")
      .resource(by_bucket<PutBucketNotificationConfigurationRequest>)
      .guarded();
  t.add<op::GetBucketNotificationConfiguration>(this, &S3Service::get_bucket_notification)
      .action("s3:GetBucketNotification")
      .resource(by_bucket<GetBucketNotificationConfigurationRequest>)
      .guarded();
  t.add<op::GetBucketPolicy>(this, &S3Service::get_bucket_policy).resource(by_bucket<GetBucketPolicyRequest>).guarded();
  t.add<op::DeleteBucketPolicy>(this, &S3Service::delete_bucket_policy)
      .resource(by_bucket<DeleteBucketPolicyRequest>)
      .guarded();
  t.add<op::PutBucketTagging>(this, &S3Service::put_bucket_tagging)
      .resource(by_bucket<PutBucketTaggingRequest>)
      .guarded();
  t.add<op::GetBucketTagging>(this, &S3Service::get_bucket_tagging)
      .resource(by_bucket<GetBucketTaggingRequest>)
      .guarded();
  t.add<op::DeleteBucketTagging>(this, &S3Service::delete_bucket_tagging)
      .action("s3:PutBucketTagging")
      .resource(by_bucket<DeleteBucketTaggingRequest>)
      .guarded();

  t.add<op::PutObject>(this, &S3Service::put_object).access(writing<PutObjectRequest>).guarded().data_plane();
  t.add<op::GetObject>(this, &S3Service::get_object).resource(by_object<GetObjectRequest>).guarded().data_plane();
  t.add<op::HeadObject>(this, &S3Service::head_object)
      .action("s3:GetObject")
      .resource(by_object<HeadObjectRequest>)
      .guarded()
      .data_plane();
  t.add<op::DeleteObject>(this, &S3Service::delete_object)
      .resource(by_object<DeleteObjectRequest>)
      .guarded()
      .data_plane();
  // Each key is asked about by the operation itself: a key that may not be deleted fails alone.
  t.add<op::DeleteObjects>(this, &S3Service::delete_objects)
      .access([](const Ctx&, const DeleteObjectsRequest&) { return std::vector<Access>{}; })
      .guarded()
      .data_plane();
  t.add<op::CopyObject>(this, &S3Service::copy_object).access(copying).guarded().data_plane();
  t.add<op::PutObjectTagging>(this, &S3Service::put_object_tagging).access(tagging).guarded().data_plane();
  t.add<op::GetObjectTagging>(this, &S3Service::get_object_tagging)
      .resource(by_object<GetObjectTaggingRequest>)
      .guarded()
      .data_plane();
  t.add<op::DeleteObjectTagging>(this, &S3Service::delete_object_tagging)
      .resource(by_object<DeleteObjectTaggingRequest>)
      .guarded()
      .data_plane();
  t.add<op::ListObjects>(this, &S3Service::list_objects).access(listing<ListObjectsRequest>).guarded().data_plane();
  t.add<op::ListObjectsV2>(this, &S3Service::list_objects_v2)
      .access(listing<ListObjectsV2Request>)
      .guarded()
      .data_plane();

  t.add<op::CreateMultipartUpload>(this, &S3Service::create_multipart_upload)
      .access(writing<CreateMultipartUploadRequest>)
      .guarded()
      .data_plane();
  t.add<op::UploadPart>(this, &S3Service::upload_part)
      .action("s3:PutObject")
      .resource(by_object<UploadPartRequest>)
      .guarded()
      .data_plane();
  t.add<op::UploadPartCopy>(this, &S3Service::upload_part_copy).access(copying_part).guarded().data_plane();
  t.add<op::CompleteMultipartUpload>(this, &S3Service::complete_multipart_upload)
      .action("s3:PutObject")
      .resource(by_object<CompleteMultipartUploadRequest>)
      .guarded()
      .data_plane();
  t.add<op::AbortMultipartUpload>(this, &S3Service::abort_multipart_upload)
      .resource(by_object<AbortMultipartUploadRequest>)
      .guarded()
      .data_plane();
  t.add<op::ListParts>(this, &S3Service::list_parts)
      .action("s3:ListMultipartUploadParts")
      .resource(by_object<ListPartsRequest>)
      .guarded()
      .data_plane();
  t.add<op::ListMultipartUploads>(this, &S3Service::list_multipart_uploads)
      .action("s3:ListBucketMultipartUploads")
      .resource(by_bucket<ListMultipartUploadsRequest>)
      .guarded()
      .data_plane();
}

Task<std::optional<std::string>> S3Service::resource_policy(Ctx& ctx, std::string resource) {
  const auto arn = kernel::parse_arn(resource);
  if (!arn) co_return std::nullopt;
  const std::string name(split_once(std::string_view(arn->resource), '/').first);
  const auto reader = deps_.db.snapshot();
  const auto bucket = co_await Store(*reader).find_bucket(name);
  if (!bucket) co_return no_such_bucket(name);
  ctx.account = bucket->account;
  co_return bucket->policy;
}

Task<BucketRecord> S3Service::require_bucket(Ctx& ctx, kv::Reader& reader, std::string name,
                                             std::optional<std::string> expected_owner) {
  auto bucket = co_await Store(reader).find_bucket(name);
  if (!bucket) co_return no_such_bucket(name);
  if (expected_owner && *expected_owner != bucket->account) co_return err::AccessDenied("Access Denied");
  // A signature names the region it was made for; callers inside and those whose names none reach every bucket.
  if (!ctx.principal.access_key.empty() && !ctx.region.empty() && ctx.region != bucket->region) {
    co_return err::AuthorizationHeaderMalformed(cat("The authorization header is malformed; the region '", ctx.region,
                                                    "' is wrong; expecting '", bucket->region, "'"),
                                                Json::object({{"Region", bucket->region}}));
  }
  co_return std::move(*bucket);
}

Task<void> S3Service::edit_bucket(Ctx& ctx, std::string name, std::optional<std::string> expected_owner,
                                  std::function<void(BucketRecord&)> edit) {
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    BucketRecord bucket = co_await require_bucket(ctx, tx, name, expected_owner);
    edit(bucket);
    WriteStore(tx).put_bucket(bucket);
  });
}

Task<ObjectRecord> S3Service::require_object(Ctx& ctx, kv::Reader& reader, BucketRecord bucket, std::string key) {
  auto object = co_await Store(reader).find_object(bucket.name, key);
  if (object) co_return std::move(*object);
  auto why = co_await deps_.cloud.authorizer().why_denied(ctx, about("s3:ListBucket", bucket_arn(ctx, bucket.name)),
                                                          bucket.policy);
  if (why) co_return err::AccessDenied(std::move(*why));
  co_return no_such_key(key);
}

std::unique_ptr<kernel::Service> make_s3(kernel::Deps& deps) {
  // An event for a bucket's ARN is an object, under the key that its sender gives.
  deps.cloud.accept("s3", [&deps](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) -> Task<std::string> {
    PutObjectRequest request;
    request.bucket = target.resource;
    request.key = input.parameters["Key"];
    if (input.parameters.contains("ContentType")) request.content_type = input.parameters["ContentType"];
    request.content_length = static_cast<int64_t>(input.body.size());
    request.body = body_of(std::move(input.body));
    co_await deps.cloud.call<op::PutObject>(ctx, std::move(request));
    co_return "";
  });
  return std::make_unique<S3Service>(deps);
}

}  // namespace virga::s3
