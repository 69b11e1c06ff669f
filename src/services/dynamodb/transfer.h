// Exports to S3 and imports from it: the records, and the formats of the files.
//
// Keys, under the tag "ddb" like those of store.h:
//   x  account, region, export id     the Export
//   m  account, region, import id     the Import
#pragma once

#include <aws/dynamodb/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/context.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {

// The failure codes of a bucket that is not there, or is somebody else's.
inline constexpr std::string_view kNoBucket = "S3NoSuchBucket", kNoAccess = "S3AccessDenied";

enum class TransferState : uint8_t { kRunning, kDone, kFailed };

struct Export {
  std::string id;
  Table table;
  std::string bucket, prefix, token;
  Time at, started, ended;
  TransferState state = TransferState::kRunning;
  std::string failure_code, failure;
  std::string manifest;
  int64_t items = 0, bytes = 0;
  bool ion = false;
  bool incremental = false, with_old = false;  // of what changed from `from` on and before `at`
  Time from;
  std::string owner;   // the account that the bucket must be of; empty: any
  bool typed = false;  // ExportType was given
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, table), a(3, bucket), a(4, prefix), a(5, token), a(6, at), a(7, started), a(8, ended);
    a(9, state), a(10, failure_code), a(11, failure), a(12, manifest), a(13, items), a(14, bytes);
    a(15, ion), a(16, incremental), a(17, with_old), a(18, from), a(19, owner), a(20, typed);
  }
  std::string arn() const { return table.arn() + "/export/" + id; }
};

enum class Packing : uint8_t { kNone, kGzip, kZstd };

struct Import {
  std::string id;
  Table table;
  std::string bucket, prefix, token;
  InputFormat format = InputFormat::DYNAMODB_JSON;
  Packing packing = Packing::kNone;
  std::string delimiter;  // empty: a comma
  std::vector<std::string> headers;
  Time started, ended;
  TransferState state = TransferState::kRunning;
  std::string failure_code, failure;
  int64_t bytes = 0, items = 0, imported = 0, errors = 0;
  std::string owner;  // as an Export's
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, table), a(3, bucket), a(4, prefix), a(5, token), a(6, format), a(7, packing), a(8, delimiter);
    a(9, headers), a(10, started), a(11, ended), a(12, state), a(13, failure_code), a(14, failure), a(15, bytes);
    a(16, items), a(17, imported), a(18, errors), a(19, owner);
  }
  std::string arn() const { return table.arn() + "/import/" + id; }
};

// What both are kept under.
std::string transfer_key(char kind, const std::string& account, const std::string& region, const std::string& id);
inline std::string key_of(const Export& e) { return transfer_key('x', e.table.account, e.table.region, e.id); }
inline std::string key_of(const Import& i) { return transfer_key('m', i.table.account, i.table.region, i.id); }
std::string transfer_id(Time now);
// What an ARN names after `word`; empty when it is of another account or region, nothing when it names no such thing.
std::optional<std::string> id_in(const kernel::Ctx& ctx, const std::string& arn, std::string_view word);
// The bucket's owner as requests to S3 have it.
inline std::optional<std::string> expected_owner(const std::string& owner) {
  return owner.empty() ? std::nullopt : std::optional(owner);
}
std::pair<std::string, std::string> failure_of(const Failure& failure);  // its code and message
ExportDescription description_of(const Export& e);
ImportTableDescription description_of(const Import& i);

}  // namespace virga::dynamodb
