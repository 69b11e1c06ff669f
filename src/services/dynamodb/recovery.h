// Backups and recovery: the records, and where copies lie.
//
// Keys, under the tag "ddb" like those of store.h:
//   B  account, region, backup id           the Backup
//   d  backup number u64, row               an item of it; rows are those of the table, without their prefix
//   u  table number u64, position           an Undo: what a row was before a commit, of tables with recovery
//   j  job id                               a Job: copying that is not done yet
#pragma once

#include <aws/dynamodb/types.h>

#include <optional>
#include <string>

#include "services/dynamodb/store.h"

namespace virga::dynamodb {

inline constexpr std::string_view kUndoTimer = "ddb.undo";  // forgets what is older than the period of recovery

struct Backup {
  std::string id, name;
  Table table;  // as it was
  Time created;
  uint64_t number = 0;
  bool available = false;
  int64_t items = 0, bytes = 0;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, name), a(3, table), a(4, created), a(5, number), a(6, available), a(7, items), a(8, bytes);
  }
  std::string arn() const { return table.arn() + "/backup/" + id; }
};

struct Undo {
  Time at;
  std::string row;
  bool existed = false;
  std::string before;
  template <class A>
  void fields(A& a) {
    a(1, at), a(2, row), a(3, existed), a(4, before);
  }
};

enum class JobKind : uint8_t { kBackup, kRestoreBackup, kRestoreTime };
struct Job {
  JobKind kind = JobKind::kBackup;
  TableName table;      // the table made, or backed up
  uint64_t number = 0;  // its number: another table of the name is not meant
  std::string backup;   // key of a Backup
  Table source;         // of a restore to a point in time
  Time at;
  std::string cursor;  // the last row of a backup that was restored
  template <class A>
  void fields(A& a) {
    a(1, kind), a(2, table.account), a(3, table.region), a(4, table.name), a(5, number), a(6, backup), a(7, source);
    a(8, at), a(9, cursor);
  }
};

std::string backup_key(const std::string& account, const std::string& region, const std::string& id);
kv::Range backups_of(const std::string& account, const std::string& region);
std::string backup_rows(uint64_t number);
std::string undo_prefix(uint64_t table);
std::string job_key(const std::string& id);
kv::Range all_jobs();

}  // namespace virga::dynamodb
