#include <aws/s3/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/page.h"
#include "services/s3/limits.h"
#include "services/s3/service.h"

namespace virga::s3 {
namespace {

// How many rows to read at once when keys roll up: after a common prefix the walk starts anew behind it, and what was
// read of it is for nothing.
constexpr size_t kFirstStep = 16;

Task<std::vector<ObjectEntry>> walk(const Store& store, std::string bucket, Listing& listing, bool rolls_up,
                                    size_t most) {
  std::vector<ObjectEntry> found;
  size_t step = rolls_up ? kFirstStep : most + 1;
  while (!listing.is_full() && (listing.to().empty() || listing.from() < listing.to())) {
    auto rows = co_await store.list_objects(bucket, listing.from(), listing.to(), step);
    const size_t rolled = listing.prefixes().size();
    for (ObjectEntry& row : rows) {
      if (listing.take(row.key)) found.push_back(std::move(row));
      if (listing.is_full()) break;
    }
    if (rows.empty()) break;
    step = listing.prefixes().size() == rolled ? std::min<size_t>(step * 4, most + 1) : kFirstStep;
  }
  co_return found;
}

Object listed(const ObjectEntry& entry, bool with_owner, const std::string& account) {
  Object out;
  out.key = entry.key;
  out.last_modified = entry.object.modified;
  out.etag = etag_header(entry.object.etag);
  out.size = static_cast<int64_t>(entry.object.content.size);
  out.storage_class = entry.object.attributes.storage_class;
  if (const auto& checksum = entry.object.checksum) {
    out.checksum_algorithm = std::vector{algorithm_of(checksum->sum)};
    out.checksum_type = checksum->composite_of ? ChecksumType::COMPOSITE : ChecksumType::FULL_OBJECT;
  }
  if (with_owner) out.owner = Owner{.display_name = {}, .id = canonical_user(account)};
  return out;
}

// Keys can hold what XML can't: then the client asks for them percent-encoded.
class Spelling {
 public:
  explicit Spelling(const std::optional<EncodingType>& type) : encodes_(type.has_value()) {}
  std::string operator()(const std::string& text) const { return encodes_ ? percent_encode(text, true) : text; }
  std::optional<std::string> operator()(const std::optional<std::string>& text) const {
    return text ? std::optional((*this)(*text)) : std::nullopt;
  }

 private:
  bool encodes_;
};

template <class Out>
void fill(Out& out, const Listing& listing, const std::vector<ObjectEntry>& found, const Spelling& spelled,
          bool with_owner, const std::string& account) {
  out.contents.emplace();
  for (const ObjectEntry& entry : found) {
    out.contents->push_back(listed(entry, with_owner, account));
    out.contents->back().key = spelled(entry.key);
  }
  out.common_prefixes.emplace();
  for (const std::string& prefix : listing.prefixes()) out.common_prefixes->push_back({.prefix = spelled(prefix)});
  out.is_truncated = listing.is_full();
}

template <class In>
void check_listing(const In& in) {
  refuse_unserved(in);
  if (in.prefix) check_key(*in.prefix);
  if (in.delimiter) check_key(*in.delimiter);
}

struct After {
  std::string bucket, entry;
  template <class A>
  void fields(A& a) {
    a(1, bucket), a(2, entry);
  }
};
constexpr std::string_view kListObjects = "s3:ListObjectsV2";

}  // namespace

Task<ListObjectsOutput> S3Service::list_objects(Ctx& ctx, const ListObjectsRequest& in) {
  check_listing(in);
  if (in.marker) check_key(*in.marker);
  const int32_t most = page_size(in.max_keys, "max-keys", kMaxPage);
  const auto reader = deps_.db.snapshot();
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);

  const std::string delimiter = in.delimiter.value_or("");
  Listing listing(in.prefix.value_or(""), delimiter, in.marker.value_or(""), static_cast<size_t>(most));
  std::vector<ObjectEntry> found;
  if (most > 0)
    found = co_await walk(Store(*reader), in.bucket, listing, !delimiter.empty(), static_cast<size_t>(most));

  const Spelling spelled(in.encoding_type);
  ListObjectsOutput out;
  fill(out, listing, found, spelled, true, bucket.account);
  out.name = in.bucket;
  out.prefix = spelled(in.prefix.value_or(""));
  out.marker = spelled(in.marker.value_or(""));
  out.delimiter = spelled(in.delimiter);
  out.max_keys = most;
  out.encoding_type = in.encoding_type;
  // Without a delimiter the last key says where to go on.
  if (listing.is_full() && !delimiter.empty()) out.next_marker = spelled(listing.last());
  co_return out;
}

Task<ListObjectsV2Output> S3Service::list_objects_v2(Ctx& ctx, const ListObjectsV2Request& in) {
  check_listing(in);
  if (in.start_after) check_key(*in.start_after);
  const int32_t most = page_size(in.max_keys, "max-keys", kMaxPage);
  const virga::Error bad_token = invalid_argument("The continuation token provided is incorrect", "continuation-token",
                                                  in.continuation_token.value_or(""));
  if (in.continuation_token && in.continuation_token->empty()) co_return bad_token;
  const auto after = kernel::open_page<After>(deps_.tokens, ctx, kListObjects, in.continuation_token, bad_token);
  if (after && after->bucket != in.bucket) co_return bad_token;
  const auto reader = deps_.db.snapshot();
  const BucketRecord bucket = co_await require_bucket(ctx, *reader, in.bucket, in.expected_bucket_owner);

  const std::string delimiter = in.delimiter.value_or("");
  Listing listing(in.prefix.value_or(""), delimiter, after ? after->entry : in.start_after.value_or(""),
                  static_cast<size_t>(most));
  std::vector<ObjectEntry> found;
  if (most > 0)
    found = co_await walk(Store(*reader), in.bucket, listing, !delimiter.empty(), static_cast<size_t>(most));

  const Spelling spelled(in.encoding_type);
  ListObjectsV2Output out;
  fill(out, listing, found, spelled, in.fetch_owner.value_or(false), bucket.account);
  out.name = in.bucket;
  out.prefix = spelled(in.prefix.value_or(""));
  out.start_after = spelled(in.start_after);
  out.delimiter = spelled(in.delimiter);
  out.max_keys = most;
  out.key_count = static_cast<int32_t>(found.size() + listing.prefixes().size());
  out.encoding_type = in.encoding_type;
  out.continuation_token = in.continuation_token;
  if (listing.is_full())
    out.next_continuation_token = kernel::seal_page(deps_.tokens, ctx, kListObjects, After{in.bucket, listing.last()});
  co_return out;
}

}  // namespace virga::s3
