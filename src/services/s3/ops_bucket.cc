#include <aws/s3/errors.h>

#include "base/str.h"
#include "kernel/page.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {

Task<CreateBucketOutput> S3Service::create_bucket(Ctx& ctx, const CreateBucketRequest& in) {
  check_bucket_name(in.bucket);
  refuse_unserved(in);
  if (in.object_lock_enabled_for_bucket.value_or(false)) co_return not_implemented("x-amz-bucket-object-lock-enabled");
  if (in.object_ownership && *in.object_ownership != ObjectOwnership::BucketOwnerEnforced) {
    co_return not_implemented(cat("x-amz-object-ownership: ", to_string(*in.object_ownership)));
  }
  if (in.bucket_namespace && *in.bucket_namespace != BucketNamespace::global)
    co_return not_implemented("x-amz-bucket-namespace");
  const CreateBucketConfiguration configuration = in.create_bucket_configuration.value_or(CreateBucketConfiguration{});
  if (configuration.bucket || configuration.location)
    co_return err::NotImplemented("Directory buckets are not implemented");

  BucketRecord bucket{in.bucket,
                      ctx.account,
                      bucket_region(ctx.region.empty() ? "us-east-1" : ctx.region, configuration.location_constraint),
                      ctx.now(),
                      {},
                      {}};
  if (configuration.tags) bucket.tags = tags_of(*configuration.tags, kMaxBucketTags);

  const auto reader = deps_.db.snapshot();
  if ((co_await Store(*reader).list_buckets(ctx.account, "", "", kMaxBuckets)).size() >= kMaxBuckets) {
    co_return err::TooManyBuckets("You have attempted to create more buckets than allowed");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateBucketOutput> {
    WriteStore store(tx);
    const auto members = Json::object({{"BucketName", in.bucket}});
    if (const auto current = co_await store.find_bucket(in.bucket)) {
      if (current->account != ctx.account) {
        co_return err::BucketAlreadyExists(
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a "
            "different name and try again.",
            members);
      }
      // The first region alone, for the sake of clients older than the others, lets the owner create it again.
      if (current->region != "us-east-1" || bucket.region != "us-east-1") {
        co_return err::BucketAlreadyOwnedByYou(
            "Your previous request to create the named bucket succeeded and you already own it.", members);
      }
    } else {
      store.put_bucket(bucket);
    }
    CreateBucketOutput out;
    out.location = cat("/", in.bucket);
    out.bucket_arn = bucket_arn(ctx, in.bucket);
    co_return out;
  });
}

Task<op::DeleteBucket::Output> S3Service::delete_bucket(Ctx& ctx, const DeleteBucketRequest& in) {
  // Uploads in progress don't hold a bucket back. They go one after the other, so that no transaction grows with them;
  // what a crash leaves is a bucket with fewer of them.
  bool done = false;
  while (!done) {
    done = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<bool> {
      const BucketRecord bucket = co_await require_bucket(ctx, tx, in.bucket, in.expected_bucket_owner);
      WriteStore store(tx);
      if (!co_await store.is_empty(in.bucket)) {
        co_return err::BucketNotEmpty("The bucket you tried to delete is not empty",
                                      Json::object({{"BucketName", in.bucket}}));
      }
      const auto uploads = co_await store.list_uploads(in.bucket, "", "", 1);
      if (uploads.empty()) {
        store.erase_bucket(bucket);
        co_return true;
      }
      co_await remove_upload(tx, in.bucket, uploads[0].key, uploads[0].id);
      co_return false;
    });
  }
  co_return op::DeleteBucket::Output{};
}

Task<HeadBucketOutput> S3Service::head_bucket(Ctx& ctx, const HeadBucketRequest& in) {
  const auto reader = deps_.db.snapshot();
  // From any region: this is how clients learn which is the right one.
  const auto bucket = co_await Store(*reader).find_bucket(in.bucket);
  if (!bucket) co_return no_such_bucket(in.bucket);
  if (in.expected_bucket_owner && *in.expected_bucket_owner != bucket->account)
    co_return err::AccessDenied("Access Denied");
  HeadBucketOutput out;
  out.bucket_region = bucket->region;
  out.bucket_arn = bucket_arn(ctx, in.bucket);
  out.access_point_alias = false;
  co_return out;
}

Task<GetBucketLocationOutput> S3Service::get_bucket_location(Ctx&, const GetBucketLocationRequest& in) {
  const auto reader = deps_.db.snapshot();
  const auto bucket = co_await Store(*reader).find_bucket(in.bucket);
  if (!bucket) co_return no_such_bucket(in.bucket);
  if (in.expected_bucket_owner && *in.expected_bucket_owner != bucket->account)
    co_return err::AccessDenied("Access Denied");
  GetBucketLocationOutput out;
  // The first region has no name here.
  if (bucket->region != "us-east-1") out.location_constraint = bucket->region;
  co_return out;
}

namespace {

struct AfterBucket {
  std::string name;
  template <class A>
  void fields(A& a) {
    a(1, name);
  }
};
constexpr std::string_view kListBuckets = "s3:ListBuckets";

}  // namespace

Task<ListBucketsOutput> S3Service::list_buckets(Ctx& ctx, const ListBucketsRequest& in) {
  if (in.max_buckets && (*in.max_buckets < 1 || *in.max_buckets > kMaxBucketPage)) {
    co_return invalid_argument(cat("Argument max-buckets must be an integer between 1 and ", kMaxBucketPage),
                               "max-buckets", cat(*in.max_buckets));
  }
  const size_t most = static_cast<size_t>(in.max_buckets.value_or(kMaxBucketPage));
  const auto after =
      kernel::open_page<AfterBucket>(deps_.tokens, ctx, kListBuckets, in.continuation_token,
                                     invalid_argument("The continuation token provided is incorrect",
                                                      "continuation-token", in.continuation_token.value_or("")));
  const auto reader = deps_.db.snapshot();
  std::vector<BucketRecord> found = co_await Store(*reader).list_buckets(ctx.account, in.prefix.value_or(""),
                                                                         after ? after->name : "", kMaxBuckets + 1);
  if (in.bucket_region)
    std::erase_if(found, [&](const BucketRecord& bucket) { return bucket.region != *in.bucket_region; });

  ListBucketsOutput out;
  out.owner = Owner{.display_name = {}, .id = canonical_user(ctx.account)};
  out.prefix = in.prefix;
  out.buckets.emplace();
  for (const BucketRecord& bucket : found) {
    if (out.buckets->size() == most) {
      out.continuation_token =
          kernel::seal_page(deps_.tokens, ctx, kListBuckets, AfterBucket{*out.buckets->back().name});
      break;
    }
    Bucket& listed = out.buckets->emplace_back();
    listed.name = bucket.name;
    listed.creation_date = whole_seconds(bucket.created);
    listed.bucket_region = bucket.region;
    listed.bucket_arn = bucket_arn(ctx, bucket.name);
  }
  co_return out;
}

}  // namespace virga::s3
