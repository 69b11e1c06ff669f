// Exports to S3 and imports from it: the records, and the formats of the files.
//
// Keys, under the tag "ddb" like those of store.h:
//   x  account, region, export id     the Export
//   m  account, region, import id     the Import
#pragma once

#include <aws/dynamodb/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "services/dynamodb/store.h"

namespace virga::dynamodb {

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
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, table), a(3, bucket), a(4, prefix), a(5, token), a(6, at), a(7, started), a(8, ended);
    a(9, state), a(10, failure_code), a(11, failure), a(12, manifest), a(13, items), a(14, bytes);
  }
  std::string arn() const { return table.arn() + "/export/" + id; }
};

struct Import {
  std::string id;
  Table table;
  std::string bucket, prefix, token;
  bool csv = false, compressed = false;
  std::string delimiter = ",";
  std::vector<std::string> headers;
  Time started, ended;
  TransferState state = TransferState::kRunning;
  std::string failure_code, failure;
  int64_t bytes = 0, items = 0, imported = 0, errors = 0;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, table), a(3, bucket), a(4, prefix), a(5, token), a(6, csv), a(7, compressed), a(8, delimiter);
    a(9, headers), a(10, started), a(11, ended), a(12, state), a(13, failure_code), a(14, failure), a(15, bytes);
    a(16, items), a(17, imported), a(18, errors);
  }
  std::string arn() const { return table.arn() + "/import/" + id; }
};

// The fields of a CSV text's records; quotes may hold delimiters and line ends.
std::vector<std::vector<std::string>> csv_records(std::string_view text, char delimiter);

}  // namespace virga::dynamodb
