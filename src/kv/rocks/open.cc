#include "kv/rocks/open.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <cstdarg>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "base/log.h"
#include "base/str.h"
#include "kv/rocks/birth.h"
#include "kv/rocks/log_file.h"

namespace virga::kv {

namespace {

// RocksDB's errors go to our log; it keeps no log file of its own.
class LogBridge final : public rocksdb::Logger {
 public:
  LogBridge() : Logger(rocksdb::InfoLogLevel::ERROR_LEVEL) {}
  using Logger::Logv;
  void LogHeader(const char* format, va_list arguments) override {}
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    const bool bad = level == rocksdb::InfoLogLevel::ERROR_LEVEL || level == rocksdb::InfoLogLevel::FATAL_LEVEL;
    if (bad) Logv(format, arguments);
  }
  void Logv(const char* format, va_list arguments) override {
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    log_warning("kv", "RocksDB says", {{"text", std::string(trim(line))}});
  }
};

rocksdb::Options options_for(const RocksOptions& wanted, std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.info_log = std::make_shared<LogBridge>();
  options.info_log_level = rocksdb::InfoLogLevel::ERROR_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.enable_thread_tracking = false;

  options.max_background_jobs = 2;
  options.max_file_opening_threads = 1;
  options.max_open_files = 512;
  options.skip_stats_update_on_db_open = true;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  // Keeps opening quick: what the write-ahead log holds stays in memory and in the log.
  options.avoid_flush_during_recovery = true;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;

  options.write_buffer_size = wanted.memtable_bytes;
  options.arena_block_size = 128 << 10;
  options.max_write_buffer_number = 4;
  options.allow_concurrent_memtable_write = false;  // one thread writes
  options.enable_write_thread_adaptive_yield = false;
  options.max_bytes_for_level_base = 64 << 20;
  options.target_file_size_base = 16 << 20;
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = rocksdb::kLZ4Compression;
  options.bytes_per_sync = 1 << 20;
  // Queues are deleted from the front; their tombstones are compacted away before scans get slow.
  options.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(4096, 2048, 0.5));

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = std::move(cache);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  table.block_size = 8 << 10;
  // Indexes and filters count against the cache, so that memory stays bounded however large the store grows.
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::string sentence(const rocksdb::Status& status, const std::string& directory) {
  const std::string text = status.ToString();
  if (text.find("LOCK") != std::string::npos || text.find("lock ") != std::string::npos) {
    return cat("The data folder ", directory,
               " is in use by another process. Stop that one first, or give this one another folder. (", text, ")");
  }
  if (status.IsNoSpace())
    return cat("The disk that holds ", directory, " is full. Free some space and start again. (", text, ")");
  if (status.IsCorruption()) {
    return cat("The data in ", directory, " is damaged: ", text,
               ". Nothing was changed. Restore the folder from a snapshot, or move it away to start empty.");
  }
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return cat("The data in ", directory, " can't be read by this build: ", text,
               ". It may have been written by a newer one: use that.");
  }
  return cat("The data folder ", directory, " can't be opened: ", text,
             ". Check that it exists, is ours to write, and its disk works.");
}

}  // namespace

OpenedRocks open_rocks_files(const RocksOptions& wanted) {
  std::error_code error;
  std::filesystem::create_directories(wanted.directory, error);
  if (error)
    throw std::runtime_error(cat("The data folder ", wanted.directory, " can't be made: ", error.message(), "."));

  OpenedRocks opened;
  rocksdb::LRUCacheOptions cache;
  cache.capacity = wanted.cache_bytes / 2;  // the other half is for rows
  cache.num_shard_bits = 2;
  cache.metadata_charge_policy = rocksdb::kFullChargeCacheMetadata;
  opened.cache = rocksdb::NewLRUCache(cache);

  rocksdb::Options options = options_for(wanted, opened.cache);
  opened.tables = memory_tables(wanted.memtable_bytes);
  options.memtable_factory = opened.tables;
  try {
    const auto birth = Birth::of(wanted.directory);
    opened.env = rocksdb::NewCompositeEnv(with_filled_logs(birth ? birth->files() : rocksdb::FileSystem::Default()));
    options.env = opened.env.get();
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, wanted.directory, &db);
    if (!status.ok()) throw std::runtime_error(sentence(status, wanted.directory));
    opened.db.reset(db);
    opened.tables->opened();
    if (birth) birth->finish();
  } catch (const std::system_error& error) {
    throw std::runtime_error(cat("The data folder ", wanted.directory, " can't be made: ", error.what(), "."));
  }
  return opened;
}

}  // namespace virga::kv
