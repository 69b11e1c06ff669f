#include "services/s3/model.h"

#include <aws/s3/errors.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/policy.h"
#include "kv/db.h"
#include "services/s3/limits.h"

namespace virga::s3 {

virga::Error no_such_bucket(std::string_view bucket) {
  return err::NoSuchBucket("The specified bucket does not exist", Json::object({{"BucketName", bucket}}));
}
virga::Error no_such_key(std::string_view key) {
  return err::NoSuchKey("The specified key does not exist.", Json::object({{"Key", key}}));
}
virga::Error no_such_upload(std::string_view upload) {
  return err::NoSuchUpload(
      "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
      "completed.",
      Json::object({{"UploadId", upload}}));
}
virga::Error invalid_argument(std::string message, std::string_view name, std::string_view value) {
  return err::InvalidArgument(std::move(message), Json::object({{"ArgumentName", name}, {"ArgumentValue", value}}));
}
virga::Error precondition_failed(std::string_view condition) {
  return err::PreconditionFailed("At least one of the pre-conditions you specified did not hold",
                                 Json::object({{"Condition", condition}}));
}
virga::Error not_implemented(std::string_view header) {
  return err::NotImplemented(cat("A header you provided implies functionality that is not implemented: ", header),
                             Json::object({{"Header", header}}));
}

// docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
void check_bucket_name(std::string_view name) {
  const auto lower_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = name.size() >= 3 && name.size() <= 63 && lower_alnum(name.front()) && lower_alnum(name.back()) &&
              std::ranges::all_of(name, [&](char c) { return lower_alnum(c) || c == '.' || c == '-'; }) &&
              name.find("..") == std::string_view::npos;
  // Four numbers look like an address.
  const auto labels = split(name, '.');
  if (labels.size() == 4 && std::ranges::all_of(labels, [](std::string_view label) {
        return !label.empty() && label.size() <= 3 &&
               std::ranges::all_of(label, [](char c) { return c >= '0' && c <= '9'; });
      })) {
    good = false;
  }
  for (const std::string_view prefix : {"xn--", "sthree-", "amzn-s3-demo-"}) good = good && !name.starts_with(prefix);
  for (const std::string_view suffix : {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}) {
    good = good && !name.ends_with(suffix);
  }
  if (!good) throw err::InvalidBucketName("The specified bucket is not valid.", Json::object({{"BucketName", name}}));
}

void check_key(std::string_view key) {
  if (key.size() > kMaxKeyBytes) {
    throw err::KeyTooLongError("Your key is too long",
                               Json::object({{"Size", key.size()}, {"MaxSizeAllowed", kMaxKeyBytes}}));
  }
  if (!is_utf8(key)) throw err::InvalidURI("Couldn't parse the specified URI.");
}

void check_part_number(int32_t number) {
  if (number >= 1 && number <= kMaxPartNumber) return;
  throw invalid_argument(cat("Part number must be an integer between 1 and ", kMaxPartNumber, ", inclusive"),
                         "partNumber", cat(number));
}

void check_upload_id(std::string_view id) {
  if (id.size() > kMaxKeyBytes) throw no_such_upload(id.substr(0, kMaxKeyBytes));
}

void check_version(const std::optional<std::string>& version) {
  if (!version || *version == "null") return;
  throw err::NotImplemented("Versions of objects are not implemented: versionId can only be null");
}

std::string bucket_region(std::string_view region, const std::optional<std::string>& constraint) {
  if (!constraint || constraint->empty()) {
    if (region == "us-east-1") return "us-east-1";
    throw err::IllegalLocationConstraintException(
        "The unspecified location constraint is incompatible for the region specific endpoint this request was sent "
        "to.");
  }
  const std::string wanted = *constraint == "EU" ? "eu-west-1" : *constraint;
  // Regions are two letters or more, a direction and a digit: "eu-west-1", "us-gov-east-1".
  const auto parts = split(wanted, '-');
  const bool good = wanted != "us-east-1" && parts.size() >= 3 && parts.size() <= 4 && parts.front().size() == 2 &&
                    parse_int(parts.back()).has_value();
  if (!good) {
    throw err::InvalidLocationConstraint("The specified location-constraint is not valid",
                                         Json::object({{"LocationConstraint", *constraint}}));
  }
  // The first region's endpoint makes buckets anywhere.
  if (region != "us-east-1" && region != wanted) {
    throw err::IllegalLocationConstraintException(
        cat("The ", *constraint,
            " location constraint is incompatible for the region specific endpoint this request was sent to."));
  }
  return wanted;
}

void check_storage_class(std::string_view name) {
  static constexpr std::array kAtHand{"STANDARD",   "REDUCED_REDUNDANCY",  "STANDARD_IA",
                                      "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"};
  if (std::ranges::find(kAtHand, name) != kAtHand.end()) return;
  // Objects of these can't be read before they are restored.
  if (name == "GLACIER" || name == "DEEP_ARCHIVE") throw not_implemented(cat("x-amz-storage-class: ", name));
  throw err::InvalidStorageClass("The storage class you specified is not valid",
                                 Json::object({{"StorageClassRequested", name}}));
}

std::string etag_header(std::string_view etag) { return cat('"', etag, '"'); }

std::string bare_etag(std::string_view etag) {
  etag = trim(etag);
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

bool names_etag(std::string_view list, std::string_view etag) {
  for (const std::string_view item : split(list, ',')) {
    const std::string name = bare_etag(item);
    if (name == "*" || name == etag) return true;
  }
  return false;
}

bool is_unmodified(const Conditions& conditions, std::string_view etag, Time modified) {
  // An entity tag that matches outweighs a date that doesn't, and one that differs outweighs a date that matches.
  if (conditions.if_match) {
    if (!names_etag(*conditions.if_match, etag)) throw precondition_failed("If-Match");
  } else if (conditions.if_unmodified_since && modified.seconds() > conditions.if_unmodified_since->seconds()) {
    throw precondition_failed("If-Unmodified-Since");
  }
  if (conditions.if_none_match) return names_etag(*conditions.if_none_match, etag);
  return conditions.if_modified_since && modified.seconds() <= conditions.if_modified_since->seconds();
}

void check_write(const WriteConditions& conditions, const ObjectRecord* current, std::string_view key) {
  if (conditions.if_none_match) {
    if (bare_etag(*conditions.if_none_match) != "*") {
      throw err::NotImplemented(
          "A header you provided implies functionality that is not implemented: If-None-Match takes only *",
          Json::object({{"Header", "If-None-Match"}}));
    }
    if (current) throw precondition_failed("If-None-Match");
  }
  if (conditions.if_match) {
    if (!current) throw no_such_key(key);
    if (!names_etag(*conditions.if_match, current->etag)) throw precondition_failed("If-Match");
  }
}

namespace {

std::optional<uint64_t> digits(std::string_view text) {
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  const auto value = parse_int(text);
  // More than any object has.
  return value ? static_cast<uint64_t>(*value) : static_cast<uint64_t>(INT64_MAX);
}

}  // namespace

std::optional<Slice> parse_range(std::string_view header, uint64_t size) {
  header = trim(header);
  if (!header.starts_with("bytes=")) return std::nullopt;
  const std::string_view text = trim(header.substr(6));
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view first = trim(text.substr(0, dash)), last = trim(text.substr(dash + 1));
  const auto unsatisfiable = [&] {
    return err::InvalidRange("The requested range is not satisfiable",
                             Json::object({{"RangeRequested", header}, {"ActualObjectSize", size}}));
  };
  if (first.empty()) {
    const auto suffix = digits(last);
    if (!suffix) return std::nullopt;
    if (*suffix == 0 || size == 0) throw unsatisfiable();
    const uint64_t length = std::min(*suffix, size);
    return Slice{size - length, length};
  }
  const auto from = digits(first);
  const auto to = last.empty() ? std::optional<uint64_t>(INT64_MAX) : digits(last);
  if (!from || !to || *to < *from) return std::nullopt;
  if (*from >= size) throw unsatisfiable();
  return Slice{*from, std::min(*to, size - 1) - *from + 1};
}

Slice parse_copy_range(std::string_view header, uint64_t size) {
  const auto bad = [&] {
    return invalid_argument(
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        "zero-based offsets of the first and last bytes to copy",
        "x-amz-copy-source-range", header);
  };
  if (!header.starts_with("bytes=")) throw bad();
  const auto [first, last] = split_once(header.substr(6), '-');
  const auto from = digits(first), to = digits(last);
  if (!from || !to || *to < *from) throw bad();
  if (*to >= size) {
    throw invalid_argument(cat("Range specified is not valid for source object of size: ", size),
                           "x-amz-copy-source-range", header);
  }
  return {*from, *to - *from + 1};
}

CopySource parse_copy_source(std::string_view header) {
  const auto bad = [&] {
    return invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                            "x-amz-copy-source", header);
  };
  std::string_view path = header;
  if (const size_t mark = header.find('?'); mark != std::string_view::npos) {
    const auto [name, value] = split_once(header.substr(mark + 1), '=');
    if (name == "versionId") {
      check_version(std::string(value));
      path = header.substr(0, mark);
    }
  }
  const auto decoded = percent_decode(path);
  if (!decoded) throw bad();
  std::string_view text = *decoded;
  if (text.starts_with("arn:")) {
    throw err::NotImplemented(
        "Copying from an access point is not implemented: x-amz-copy-source must name a bucket and a key",
        Json::object({{"Header", "x-amz-copy-source"}}));
  }
  if (text.starts_with('/')) text.remove_prefix(1);
  const auto [bucket, key] = split_once(text, '/');
  if (bucket.empty() || key.empty()) throw bad();
  check_key(key);
  return {std::string(bucket), std::string(key)};
}

namespace {

bool has_tag_characters(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return plain || static_cast<unsigned char>(c) >= 0x80 ||
           std::string_view(" +-=._:/@").find(c) != std::string_view::npos;
  });
}

void check_tags(const Tags& tags, size_t most) {
  if (tags.size() > most) {
    throw err::BadRequest(most == kMaxObjectTags ? cat("Object tags cannot be greater than ", most)
                                                 : cat("Bucket tag count cannot be greater than ", most));
  }
  std::set<std::string_view> keys;
  for (const auto& [key, value] : tags) {
    const auto members = Json::object({{"TagKey", key}, {"TagValue", value}});
    if (key.empty() || !is_utf8(key) || count_characters(key) > kMaxTagKey || !has_tag_characters(key)) {
      throw err::InvalidTag("The TagKey you have provided is invalid", members);
    }
    if (!is_utf8(value) || count_characters(value) > kMaxTagValue || !has_tag_characters(value)) {
      throw err::InvalidTag("The TagValue you have provided is invalid", members);
    }
    if (key.starts_with("aws:")) throw err::InvalidTag("System tags cannot be added/updated by requester", members);
    if (!keys.insert(key).second) throw err::InvalidTag("Cannot provide multiple Tags with the same key", members);
  }
}

}  // namespace

Tags parse_tagging(std::string_view header, size_t most) {
  Tags out;
  if (header.empty()) return out;
  for (const std::string_view pair : split(header, '&')) {
    if (pair.empty()) continue;
    const auto [key, value] = split_once(pair, '=');
    auto k = percent_decode(key, true), v = percent_decode(value, true);
    if (!k || !v) {
      throw invalid_argument(
          "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
          "name duplicates.",
          "x-amz-tagging", header);
    }
    out.emplace_back(std::move(*k), std::move(*v));
  }
  check_tags(out, most);
  return out;
}

Tags tags_of(const std::vector<Tag>& tags, size_t most) {
  Tags out;
  for (const Tag& tag : tags) out.emplace_back(tag.key, tag.value);
  check_tags(out, most);
  return out;
}

std::vector<Tag> tag_list(const Tags& tags) {
  std::vector<Tag> out;
  for (const auto& [key, value] : tags) out.push_back({.key = key, .value = value});
  return out;
}

void check_metadata(const std::map<std::string, std::string>& metadata) {
  size_t size = 0;
  for (const auto& [name, value] : metadata) size += name.size() + value.size();
  if (size <= kMaxMetadataBytes) return;
  throw err::MetadataTooLarge("Your metadata headers exceed the maximum allowed metadata size",
                              Json::object({{"Size", size}, {"MaxSizeAllowed", kMaxMetadataBytes}}));
}

std::string stored_encoding(std::string_view header) {
  std::string out;
  for (const std::string_view item : split(header, ',')) {
    if (trim(item).empty() || equals_ignoring_case(trim(item), "aws-chunked")) continue;
    append(out, out.empty() ? "" : ",", trim(item));
  }
  return out;
}

void check_policy(std::string_view document, std::string_view bucket) {
  if (document.size() > kMaxPolicyBytes) {
    throw err::MalformedPolicy(
        cat("Normalized policy document exceeds the maximum allowed size of ", kMaxPolicyBytes, " bytes"));
  }
  Json policy;
  try {
    policy = Json::parse(document);
  } catch (const JsonError&) {
    throw err::MalformedPolicy("Policies must be valid JSON and the first byte must be '{'");
  }
  if (!policy.is_object()) throw err::MalformedPolicy("Policies must be valid JSON and the first byte must be '{'");
  try {
    kernel::policy::parse(document, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& e) {
    throw err::MalformedPolicy(e.what());
  }
  const auto each = [](const Json* values, auto check) {
    if (!values) return;
    if (values->is_string()) return check(values->as_string());
    if (values->is_array()) {
      for (const Json& value : values->as_array()) {
        if (value.is_string()) check(value.as_string());
      }
    }
  };
  const Json* statements = policy.find("Statement");
  const Json::Array one = statements && statements->is_object() ? Json::Array{*statements} : Json::Array{};
  for (const Json& statement : statements && statements->is_array() ? statements->as_array() : one) {
    for (const std::string_view member : {"Action", "NotAction"}) {
      each(statement.find(member), [](const std::string& action) {
        if (action != "*" && !lower(action).starts_with("s3:")) throw err::MalformedPolicy("Policy has invalid action");
      });
    }
    for (const std::string_view member : {"Resource", "NotResource"}) {
      each(statement.find(member), [&](const std::string& resource) {
        // Of a bucket's policy, this bucket and what is in it.
        const auto [start, path] = split_once(std::string_view(resource), '/');
        const size_t colon = start.rfind(':');
        if (!resource.starts_with("arn:") || colon == std::string_view::npos ||
            !matches_wildcard(start.substr(colon + 1), bucket)) {
          throw err::MalformedPolicy("Policy has invalid resource");
        }
      });
    }
  }
}

Listing::Listing(std::string prefix, std::string delimiter, std::string after, size_t most)
    : prefix_(std::move(prefix)),
      delimiter_(std::move(delimiter)),
      most_(most),
      from_(prefix_),
      to_(kv::prefix_end(prefix_)) {
  if (after < prefix_) return;
  // Nothing inside a common prefix that was shown already is looked at again.
  const std::string roll = after.starts_with(prefix_) ? rolled(after) : std::string();
  from_ = roll.empty() ? after + '\0' : kv::prefix_end(roll);
}

std::string Listing::rolled(std::string_view key) const {
  if (delimiter_.empty()) return {};
  const size_t at = key.find(delimiter_, prefix_.size());
  return at == std::string_view::npos ? std::string() : std::string(key.substr(0, at + delimiter_.size()));
}

bool Listing::take(const std::string& key) {
  if (full_ || key < from_) return false;
  if (count_ == most_) {
    full_ = true;
    return false;
  }
  ++count_;
  last_ = rolled(key);
  if (last_.empty()) {
    last_ = key;
    from_ = key + '\0';
    return true;
  }
  from_ = kv::prefix_end(last_);
  prefixes_.push_back(last_);
  return false;
}

int32_t page_size(const std::optional<int32_t>& asked, std::string_view name, int32_t most) {
  if (!asked) return most;
  if (*asked < 0)
    throw invalid_argument(cat("Argument ", name, " must be an integer between 0 and 2147483647"), name, cat(*asked));
  return std::min(*asked, most);
}

std::optional<Sum> sum_of(ChecksumAlgorithm algorithm) {
  switch (algorithm) {
    case ChecksumAlgorithm::CRC32:
      return Sum::kCrc32;
    case ChecksumAlgorithm::CRC32C:
      return Sum::kCrc32c;
    case ChecksumAlgorithm::CRC64NVME:
      return Sum::kCrc64Nvme;
    case ChecksumAlgorithm::SHA1:
      return Sum::kSha1;
    case ChecksumAlgorithm::SHA256:
      return Sum::kSha256;
    case ChecksumAlgorithm::SHA512:
    case ChecksumAlgorithm::MD5:
    case ChecksumAlgorithm::XXHASH64:
    case ChecksumAlgorithm::XXHASH3:
    case ChecksumAlgorithm::XXHASH128:
      return std::nullopt;
  }
  return std::nullopt;
}

ChecksumAlgorithm algorithm_of(Sum sum) {
  switch (sum) {
    case Sum::kCrc32:
      return ChecksumAlgorithm::CRC32;
    case Sum::kCrc32c:
      return ChecksumAlgorithm::CRC32C;
    case Sum::kCrc64Nvme:
      return ChecksumAlgorithm::CRC64NVME;
    case Sum::kSha1:
      return ChecksumAlgorithm::SHA1;
    case Sum::kSha256:
      return ChecksumAlgorithm::SHA256;
  }
  return ChecksumAlgorithm::CRC64NVME;
}

std::optional<std::string> parse_content_md5(const std::optional<std::string>& header) {
  if (!header) return std::nullopt;
  auto bytes = base64_decode(trim(*header));
  if (!bytes || bytes->size() != 16) {
    throw err::InvalidDigest("The Content-MD5 you specified was invalid.", Json::object({{"Content-MD5", *header}}));
  }
  return bytes;
}

void check_claims(const Claims& claims, const Digest& digest) {
  if (claims.md5 && *claims.md5 != digest.md5()) {
    throw err::BadDigest("The Content-MD5 you specified did not match what we received.",
                         Json::object({{"ExpectedDigest", base64_encode(*claims.md5)},
                                       {"CalculatedDigest", base64_encode(digest.md5())}}));
  }
  if (claims.checksum && claims.checksum->bytes != digest.checksum(claims.checksum->sum).bytes) {
    throw err::BadDigest(
        cat("The ", name_of(claims.checksum->sum), " you specified did not match the calculated checksum."));
  }
}

}  // namespace virga::s3
