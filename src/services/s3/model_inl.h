// The parts of model.h that read generated structures, which name the same members without sharing a type.
#pragma once

#include <aws/s3/errors.h>

#include "base/str.h"
#include "services/s3/model.h"

namespace virga::s3 {

template <class In>
std::optional<Checksum> claimed_checksum(const In& in) {
  std::optional<Checksum> out;
  const auto look = [&](Sum sum, const std::optional<std::string>& header) {
    if (!header) return;
    if (out)
      throw err::InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    auto bytes = parse_checksum(sum, *header);
    if (!bytes) throw err::InvalidRequest(cat("Value for ", header_of(sum), " header is invalid."));
    out = Checksum{sum, std::move(*bytes), 0};
  };
  look(Sum::kCrc32, in.checksum_crc32);
  look(Sum::kCrc32c, in.checksum_crc32c);
  look(Sum::kCrc64Nvme, in.checksum_crc64nvme);
  look(Sum::kSha1, in.checksum_sha1);
  look(Sum::kSha256, in.checksum_sha256);
  if (in.checksum_sha512) throw not_implemented("x-amz-checksum-sha512");
  if (in.checksum_md5) throw not_implemented("x-amz-checksum-md5");
  if (in.checksum_xxhash64) throw not_implemented("x-amz-checksum-xxhash64");
  if (in.checksum_xxhash3) throw not_implemented("x-amz-checksum-xxhash3");
  if (in.checksum_xxhash128) throw not_implemented("x-amz-checksum-xxhash128");
  return out;
}

template <class Out>
void show_checksum(Out& out, const Checksum& checksum) {
  switch (checksum.sum) {
    case Sum::kCrc32:
      out.checksum_crc32 = text_of(checksum);
      break;
    case Sum::kCrc32c:
      out.checksum_crc32c = text_of(checksum);
      break;
    case Sum::kCrc64Nvme:
      out.checksum_crc64nvme = text_of(checksum);
      break;
    case Sum::kSha1:
      out.checksum_sha1 = text_of(checksum);
      break;
    case Sum::kSha256:
      out.checksum_sha256 = text_of(checksum);
      break;
  }
  if constexpr (requires { out.checksum_type; }) {
    out.checksum_type = checksum.composite_of ? ChecksumType::COMPOSITE : ChecksumType::FULL_OBJECT;
  }
}

template <class In>
void refuse_unserved(const In& in) {
  const auto refuse = [](bool given, std::string_view header) {
    if (given) throw not_implemented(header);
  };
  if constexpr (requires { in.key; }) check_key(in.key);
  if constexpr (requires { in.version_id; }) check_version(in.version_id);
  // Content is not encrypted at rest: to accept the header would claim that it is.
  if constexpr (requires { in.server_side_encryption; }) {
    // AES256 is what AWS does to every object, so tools ask for it always (aws cloudformation package). It is taken and
    // not claimed: answers don't say that Virga encrypted.
    refuse(in.server_side_encryption && *in.server_side_encryption != ServerSideEncryption::AES256,
           "x-amz-server-side-encryption");
    refuse(in.sse_kms_key_id.has_value(), "x-amz-server-side-encryption-aws-kms-key-id");
    refuse(in.bucket_key_enabled.value_or(false), "x-amz-server-side-encryption-bucket-key-enabled");
  }
  if constexpr (requires { in.sse_customer_algorithm; }) {
    refuse(in.sse_customer_algorithm || in.sse_customer_key || in.sse_customer_key_md5,
           "x-amz-server-side-encryption-customer-algorithm");
  }
  if constexpr (requires { in.copy_source_sse_customer_algorithm; }) {
    refuse(in.copy_source_sse_customer_algorithm || in.copy_source_sse_customer_key,
           "x-amz-copy-source-server-side-encryption-customer-algorithm");
  }
  if constexpr (requires { in.object_lock_mode; }) {
    refuse(in.object_lock_mode.has_value(), "x-amz-object-lock-mode");
    refuse(in.object_lock_retain_until_date.has_value(), "x-amz-object-lock-retain-until-date");
    refuse(in.object_lock_legal_hold_status.has_value(), "x-amz-object-lock-legal-hold");
  }
  if constexpr (requires { in.website_redirect_location; }) {
    refuse(in.website_redirect_location.has_value(), "x-amz-website-redirect-location");
  }
  if constexpr (requires { in.write_offset_bytes; })
    refuse(in.write_offset_bytes.has_value(), "x-amz-write-offset-bytes");
  if constexpr (requires { in.bypass_governance_retention; }) {
    refuse(in.bypass_governance_retention.value_or(false), "x-amz-bypass-governance-retention");
  }
  if constexpr (requires { in.mfa; }) refuse(in.mfa.has_value(), "x-amz-mfa");
  if constexpr (requires { in.if_match_size; }) {
    refuse(in.if_match_size.has_value(), "x-amz-if-match-size");
    refuse(in.if_match_last_modified_time.has_value(), "x-amz-if-match-last-modified-time");
  }
  if constexpr (requires { in.if_match_initiated_time; }) {
    refuse(in.if_match_initiated_time.has_value(), "x-amz-if-match-initiated-time");
  }
  if constexpr (requires { in.grant_read_acp; }) {
    bool granted = in.grant_full_control || in.grant_read || in.grant_read_acp || in.grant_write_acp;
    if constexpr (requires { in.grant_write; }) granted = granted || in.grant_write.has_value();
    bool plain = !in.acl;
    if (in.acl) plain = to_string(*in.acl) == "private" || to_string(*in.acl) == "bucket-owner-full-control";
    if (granted || !plain) {
      if constexpr (requires { in.object_ownership; }) {
        throw err::InvalidBucketAclWithObjectOwnership(
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting");
      } else {
        throw err::AccessControlListNotSupported("The bucket does not allow ACLs");
      }
    }
  }
  if constexpr (requires { in.optional_object_attributes; }) {
    refuse(in.optional_object_attributes && !in.optional_object_attributes->empty(),
           "x-amz-optional-object-attributes");
  }
}

template <class In>
Attributes attributes_of(const In& in) {
  Attributes out;
  if (in.content_type && !in.content_type->empty()) out.content_type = *in.content_type;
  out.cache_control = in.cache_control;
  out.content_disposition = in.content_disposition;
  out.content_language = in.content_language;
  out.expires = in.expires;
  if (in.content_encoding) {
    std::string encoding = stored_encoding(*in.content_encoding);
    if (!encoding.empty()) out.content_encoding = std::move(encoding);
  }
  if (in.metadata) out.metadata = *in.metadata;
  check_metadata(out.metadata);
  if (in.storage_class) {
    check_storage_class(*in.storage_class);
    out.storage_class = *in.storage_class;
  }
  return out;
}

}  // namespace virga::s3
