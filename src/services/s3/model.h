// S3's rules as functions of values: names, ranges, conditions, tags, listings. They throw the service's errors.
#pragma once

#include <aws/s3/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "services/s3/store.h"

namespace virga::s3 {

// Refusals with the members that S3 gives them.
virga::Error no_such_bucket(std::string_view bucket);
virga::Error no_such_key(std::string_view key);
virga::Error no_such_upload(std::string_view upload);
virga::Error invalid_argument(std::string message, std::string_view name, std::string_view value);
virga::Error precondition_failed(std::string_view condition);
// For what S3 knows and is not built here.
virga::Error not_implemented(std::string_view header);

void check_bucket_name(std::string_view name);
void check_key(std::string_view key);
void check_part_number(int32_t number);
void check_upload_id(std::string_view id);
// "null" is the only version of an object in a bucket that was never versioned.
void check_version(const std::optional<std::string>& version);
// Where a bucket made by a request to `region` lies.
std::string bucket_region(std::string_view region, const std::optional<std::string>& constraint);
void check_storage_class(std::string_view name);

std::string etag_header(std::string_view etag);
std::string bare_etag(std::string_view etag);
// Whether a list of entity tags, as If-Match has it, names this one.
bool names_etag(std::string_view list, std::string_view etag);

struct Conditions {
  std::optional<std::string> if_match, if_none_match;
  std::optional<Time> if_modified_since, if_unmodified_since;
};
// Throws PreconditionFailed. True: the caller's copy is still good (NotModified for a read).
bool is_unmodified(const Conditions& conditions, std::string_view etag, Time modified);

// Conditions of a write: `current` is the object there, if any.
struct WriteConditions {
  std::optional<std::string> if_match, if_none_match;
};
void check_write(const WriteConditions& conditions, const ObjectRecord* current, std::string_view key);

struct Slice {
  uint64_t offset = 0, length = 0;
};
// The one range of a Range header. Nothing: the header asks for none that S3 honours, so the whole object is meant.
// Throws InvalidRange when it lies outside.
std::optional<Slice> parse_range(std::string_view header, uint64_t size);
// The exact range of x-amz-copy-source-range.
Slice parse_copy_range(std::string_view header, uint64_t size);

struct CopySource {
  std::string bucket, key;
};
CopySource parse_copy_source(std::string_view header);

// Of x-amz-tagging: key=value&…
Tags parse_tagging(std::string_view header, size_t most);
Tags tags_of(const std::vector<Tag>& tags, size_t most);
std::vector<Tag> tag_list(const Tags& tags);
void check_metadata(const std::map<std::string, std::string>& metadata);
// Content-Encoding without aws-chunked, which is the upload's own coding; empty: none.
std::string stored_encoding(std::string_view header);

// The bucket's policy as it may be stored: throws MalformedPolicy.
void check_policy(std::string_view document, std::string_view bucket);

// A walk through keys in order that rolls keys up to the delimiter.
class Listing {
 public:
  // Entries greater than `after`; common prefixes count as entries.
  Listing(std::string prefix, std::string delimiter, std::string after, size_t most);
  bool is_full() const { return full_; }
  // Where the walk goes on; and where it ends (empty: nowhere).
  const std::string& from() const { return from_; }
  const std::string& to() const { return to_; }
  // Takes the next key at or after from(). True when it is an entry by itself; else it was rolled up, skipped, or there
  // was no room for it (is_full).
  bool take(const std::string& key);
  const std::vector<std::string>& prefixes() const { return prefixes_; }
  // The last entry taken: where the next page begins after.
  const std::string& last() const { return last_; }

 private:
  // The common prefix a key rolls up to; empty: none.
  std::string rolled(std::string_view key) const;
  const std::string prefix_, delimiter_;
  const size_t most_;
  size_t count_ = 0;
  bool full_ = false;
  std::string from_, to_, last_;
  std::vector<std::string> prefixes_;
};

int32_t page_size(const std::optional<int32_t>& asked, std::string_view name, int32_t most);

std::optional<Sum> sum_of(ChecksumAlgorithm algorithm);  // nothing: not built here
ChecksumAlgorithm algorithm_of(Sum sum);
// What a request states about its content.
struct Claims {
  std::optional<std::string> md5;  // raw
  std::optional<Checksum> checksum;
};
std::optional<std::string> parse_content_md5(const std::optional<std::string>& header);
void check_claims(const Claims& claims, const Digest& digest);

template <class In>
std::optional<Checksum> claimed_checksum(const In& in);
template <class Out>
void show_checksum(Out& out, const Checksum& checksum);
// Refuses what is asked for and not built, by the header's name; also what can't be stored.
template <class In>
void refuse_unserved(const In& in);
template <class In>
Attributes attributes_of(const In& in);

}  // namespace virga::s3

#include "services/s3/model_inl.h"
