// Exports to S3: whole tables, and what changed in a stretch of time.
#include <aws/dynamodb/errors.h>
#include <aws/s3/ops.h>
#include <aws/s3/types.h>

#include <algorithm>
#include <map>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/gzip.h"
#include "base/id.h"
#include "base/source.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/ion.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/transfer.h"

namespace virga::dynamodb {

namespace {

constexpr uint64_t kFileBytes = 32 << 20;    // of a file, uncompressed
constexpr uint64_t kMostUndone = 256 << 20;  // changes that are held in memory to know the table as it was
constexpr size_t kRows = 500, kBytes = 1 << 20;
constexpr std::chrono::hours kMostSpan{24};  // of an incremental export

// When an export is of: `at`, or from `from` to before `at`.
void read_times(const ExportTableToPointInTimeInput& in, Export& made) {
  made.typed = in.export_type.has_value();
  made.incremental = in.export_type == ExportType::INCREMENTAL_EXPORT;
  if (!made.incremental) {
    if (in.incremental_export_specification) {
      throw invalid_request(made.typed ? "When Export Type is Full Export , Incremental Export Specification should "
                                         "not be provided"
                                       : "Export Type expected to be Incremental Export when incremental export "
                                         "specification is provided");
    }
    made.at = in.export_time.value_or(made.started);
    return;
  }
  if (!in.incremental_export_specification) {
    throw invalid_request("Incremental Export Specification expected when export type is set as Incremental Export");
  }
  const IncrementalExportSpecification& asked = *in.incremental_export_specification;
  if (!asked.export_from_time) {
    throw invalid_request("ExportFromTime must be provided in IncrementalExportSpecification");
  }
  made.from = *asked.export_from_time;
  made.at = asked.export_to_time.value_or(made.started);
  made.with_old = asked.export_view_type != ExportViewType::NEW_IMAGE;
}

// Throws where the table has no such past. Times are told to the second.
void check_times(const Table& table, const Export& made) {
  const auto told = [](Time time) { return iso8601(Time::from_seconds(time.seconds())); };
  const auto refuse = [](std::string why) { throw err::InvalidExportTimeException(std::move(why)); };
  if (made.incremental) {
    if (made.from.seconds() < table.created.seconds()) {
      refuse(
          cat("Incremental export period from time cannot be less than the table creation time : ", told(made.from)));
    }
    if (made.at > made.started) {
      refuse(cat("Incremental export period to time cannot be greater than the current time : ", told(made.at)));
    }
    if (made.from >= made.at) refuse("Incremental export period from time must be less than its to time");
    if (made.at - made.from > kMostSpan) {
      refuse("Difference between export period from time and export period to time is greater than 24 hours");
    }
  }
  if (!table.recovery) {
    throw err::PointInTimeRecoveryUnavailableException(
        cat("Point in time recovery is not enabled for table '", table.name, "'"));
  }
  const Time oldest = std::max(table.recovery->since, made.started - std::chrono::hours(24 * table.recovery->days));
  if (made.at > made.started || made.at.seconds() < table.created.seconds()) refuse("Export Time is invalid");
  if ((made.incremental ? made.from : made.at) < oldest) {
    refuse("Point in Time Recovery is not available for specified export time");
  }
}

// What a request with a token that is known may not say otherwise.
bool is_same(const Export& a, const Export& b) {
  return a.table.arn() == b.table.arn() && a.bucket == b.bucket && a.prefix == b.prefix && a.owner == b.owner &&
         a.ion == b.ion && a.incremental == b.incremental && a.from == b.from && a.with_old == b.with_old;
}

void check_table_arn(const std::string& text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn) throw invalid_parameter("tableArn is not a valid ARN");
  const bool of_table = arn->service == "dynamodb" && arn->resource.starts_with("table/");
  if (!of_table || std::ranges::count(arn->resource, '/') != 1) throw invalid_request("Table ARN is invalid.");
}

// A row that changed within the time of an incremental export.
struct RowChange {
  Time last;                          // when it last did
  std::optional<std::string> before;  // what it was
};
struct Past {
  std::map<std::string, std::optional<std::string>> later;  // rows that changed after the time, as they were then
  std::map<std::string, RowChange> within;
};

// Goes back from `instant`, newest change first: the oldest one after a time says what the row was.
Task<Past> read_past(kv::Reader& instant, const Export& work) {
  Past past;
  uint64_t held = 0;
  for (kv::Range range = kv::prefix_range(undo_prefix(work.table.number));;) {
    const auto rows = co_await instant.scan(range, {.limit = kRows, .byte_limit = kBytes, .reverse = true});
    if (rows.empty()) co_return past;
    for (const kv::Entry& row : rows) {
      Undo undo = kv::decode<Undo>(row.value);
      const bool later = work.incremental ? undo.at >= work.at : undo.at > work.at;
      if (!later && (!work.incremental || undo.at < work.from)) co_return past;
      held += row.value.size();
      if (held > kMostUndone)
        co_await fail(validation("Too much changed since then: restore the table to that time and export it"));
      auto before = undo.existed ? std::optional(std::move(undo.before)) : std::nullopt;
      if (later) {
        past.later[std::move(undo.row)] = std::move(before);
      } else {
        past.within.try_emplace(std::move(undo.row), RowChange{undo.at, {}}).first->second.before = std::move(before);
      }
    }
    range.end = rows.back().key;
  }
}

// The files of an export: data as it comes, then the manifests.
class ExportFiles {
 public:
  ExportFiles(kernel::Cloud& cloud, Ctx& ctx, Export& work) : cloud_(cloud), ctx_(ctx), work_(work) {
    const std::string all =
        cat(work.prefix, work.prefix.empty() || work.prefix.ends_with('/') ? "" : "/", "AWSDynamoDB/");
    root_ = all + work.id;
    data_ = (work.incremental ? all : root_ + "/") + "data/";  // incremental exports share a folder
  }

  Task<void> begin() { return put(root_ + "/_started", ""); }

  Task<void> item(View item) {
    if (work_.ion) {
      lines_ += "$ion_1_0 {Item:";
      append_ion_struct(lines_, item);
    } else {
      lines_ += "{\"Item\":";
      JsonWriter writer(lines_);
      write_json_item(writer, item);
    }
    lines_ += "}\n";
    return added(item);
  }

  // What came and went within the time is no change.
  Task<void> change(const RowChange& change, const std::optional<std::string>& after) {
    const View old(change.before ? *change.before : std::string_view()), now(after ? *after : std::string_view());
    if (!old.present() && !now.present()) co_return;
    const View either = now.present() ? now : old;
    const Item keys = key_of(work_.table, either);
    const std::string time = std::to_string(change.last.micros);
    if (work_.ion) {
      append(lines_, "$ion_1_0 {Record:{Metadata:{WriteTimestampMicros:", time, ".},Keys:");
      append_ion_struct(lines_, keys);
      const auto image = [&](std::string_view name, View item) {
        append(lines_, ",", name, ":");
        append_ion_struct(lines_, item);
      };
      if (work_.with_old && old.present()) image("OldImage", old);
      if (now.present()) image("NewImage", now);
      lines_ += "}}\n";
    } else {
      append(lines_, R"({"Metadata":{"WriteTimestampMicros":{"N":")", time, R"("}},"Keys":)");
      const auto write = [&](View item) {
        JsonWriter writer(lines_);
        write_json_item(writer, item);
      };
      write(keys);
      if (work_.with_old && old.present()) {
        lines_ += ",\"OldImage\":";
        write(old);
      }
      if (now.present()) {
        lines_ += ",\"NewImage\":";
        write(now);
      }
      lines_ += "}\n";
    }
    co_await added(either);
  }

  Task<void> end(Time now) {
    if (in_file_ > 0 || files_.empty()) co_await flush();
    co_await manifest("manifest-files", files_);
    work_.manifest = root_ + "/manifest-summary.json";
    Json::Object summary{
        {"version", "2020-06-30"},        {"exportArn", work_.arn()},      {"startTime", iso8601_millis(work_.started)},
        {"endTime", iso8601_millis(now)}, {"tableArn", work_.table.arn()}, {"tableId", work_.table.id}};
    if (work_.incremental) {
      summary.push_back({"exportFromTime", iso8601_millis(work_.from)});
      summary.push_back({"exportToTime", iso8601_millis(work_.at)});
    } else {
      summary.push_back({"exportTime", iso8601_millis(work_.at)});
    }
    summary.insert(summary.end(), {{"s3Bucket", work_.bucket},
                                   {"s3Prefix", work_.prefix},
                                   {"s3SseAlgorithm", "AES256"},
                                   {"s3SseKmsKeyId", Json()},
                                   {"manifestFilesS3Key", root_ + "/manifest-files.json"},
                                   {"billedSizeBytes", work_.bytes},
                                   {"itemCount", work_.items},
                                   {"outputFormat", work_.ion ? "ION" : "DYNAMODB_JSON"}});
    if (work_.incremental) summary.push_back({"outputView", work_.with_old ? "NEW_AND_OLD_IMAGES" : "NEW_IMAGE"});
    summary.push_back({"exportType", work_.incremental ? "INCREMENTAL_EXPORT" : "FULL_EXPORT"});
    co_await manifest("manifest-summary", Json(std::move(summary)).dump());
  }

 private:
  Task<void> added(View item) {
    ++in_file_;
    ++work_.items;
    work_.bytes += static_cast<int64_t>(item.item_size());
    if (lines_.size() >= kFileBytes) co_await flush();
  }
  Task<void> flush() {
    std::string body = gzip(lines_);
    const std::string key = cat(data_, hex_encode(random_bytes(13)), work_.ion ? ".ion.gz" : ".json.gz");
    const std::string sum = md5(body);
    append(files_,
           Json::object({{"itemCount", in_file_},
                         {"md5Checksum", base64_encode(sum)},
                         {"etag", hex_encode(sum)},
                         {"dataFileS3Key", key}})
               .dump(),
           "\n");
    lines_.clear();
    in_file_ = 0;
    co_await put(key, std::move(body));
  }
  Task<void> manifest(std::string_view name, std::string body) {
    const std::string key = cat(root_, "/", name);
    co_await put(key + ".md5", base64_encode(md5(body)));
    co_await put(key + ".json", std::move(body));
  }
  Task<void> put(std::string key, std::string body) {
    s3::PutObjectRequest request;
    request.bucket = work_.bucket;
    request.expected_bucket_owner = expected_owner(work_.owner);
    request.key = std::move(key);
    request.body = body_of(std::move(body));
    co_await cloud_.call<s3::op::PutObject>(ctx_, std::move(request));
  }

  kernel::Cloud& cloud_;
  Ctx& ctx_;
  Export& work_;
  std::string root_, data_, lines_, files_;
  int64_t in_file_ = 0;
};

}  // namespace

ExportDescription description_of(const Export& e) {
  ExportDescription out;
  out.export_arn = e.arn();
  out.export_status = e.state == TransferState::kRunning ? ExportStatus::IN_PROGRESS
                      : e.state == TransferState::kDone  ? ExportStatus::COMPLETED
                                                         : ExportStatus::FAILED;
  out.start_time = e.started;
  if (e.ended.micros) out.end_time = e.ended;
  if (!e.manifest.empty()) out.export_manifest = e.manifest;
  out.table_arn = e.table.arn();
  out.table_id = e.table.id;
  if (e.incremental) {
    out.incremental_export_specification = IncrementalExportSpecification{
        e.from, e.at, e.with_old ? ExportViewType::NEW_AND_OLD_IMAGES : ExportViewType::NEW_IMAGE};
  } else {
    out.export_time = e.at;
  }
  out.client_token = e.token;
  out.s3_bucket = e.bucket;
  if (!e.prefix.empty()) out.s3_prefix = e.prefix;
  out.s3_bucket_owner = expected_owner(e.owner);
  out.s3_sse_algorithm = S3SseAlgorithm::AES256;
  if (!e.failure.empty()) out.failure_code = e.failure_code, out.failure_message = e.failure;
  out.export_format = e.ion ? ExportFormat::ION : ExportFormat::DYNAMODB_JSON;
  if (e.typed || e.incremental)
    out.export_type = e.incremental ? ExportType::INCREMENTAL_EXPORT : ExportType::FULL_EXPORT;
  if (e.state == TransferState::kDone) out.billed_size_bytes = e.bytes, out.item_count = e.items;
  return out;
}

Task<ExportTableToPointInTimeOutput> DynamoService::export_table(Ctx& ctx, const ExportTableToPointInTimeInput& in) {
  check_table_arn(in.table_arn);
  if (in.s3_sse_kms_key_id && in.s3_sse_algorithm != S3SseAlgorithm::KMS) {
    co_return invalid_request("KMS Key Id is not supported for this encryption type");
  }
  if (in.s3_sse_algorithm == S3SseAlgorithm::KMS) {
    co_return validation("S3SseAlgorithm KMS is not supported here yet.");
  }
  if (kernel::parse_arn(in.table_arn)->region != ctx.region) {
    co_return err::TableNotFoundException(cat("Table not found: ", in.table_arn));
  }
  const TableName name = table_named(ctx, in.table_arn);
  Export made;
  made.started = ctx.now();
  made.id = transfer_id(made.started);
  made.bucket = in.s3_bucket;
  made.prefix = in.s3_prefix.value_or("");
  made.owner = in.s3_bucket_owner.value_or("");
  made.token = in.client_token.value_or(uuid());
  made.ion = in.export_format == ExportFormat::ION;
  read_times(in, made);
  const bool fresh = co_await transact([&](kv::Txn& tx) -> Task<bool> {
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(name);
    if (table) {
      made.table = *table;
    } else {
      std::tie(made.table.account, made.table.region, made.table.name) = std::tie(name.account, name.region, name.name);
    }
    const auto others =
        co_await tx.scan(kv::prefix_range(kv::KeyWriter("ddb").u8('x').text(ctx.account).text(ctx.region).view()), {});
    for (const kv::Entry& entry : others) {
      Export other = kv::decode<Export>(entry.value);
      if (other.token != made.token) continue;
      if (!is_same(made, other)) {
        co_await fail(
            err::ExportConflictException("Export conflict: Duplicate request detected with conflicting parameters"));
      }
      made = std::move(other);
      co_return false;
    }
    if (!table) co_await fail(err::TableNotFoundException(cat("Table not found: ", in.table_arn)));
    check_times(*table, made);
    tx.put(key_of(made), kv::encode(made));
    co_return true;
  });
  if (fresh) {
    ++running_;
    start_background("dynamodb.export", run_export(ctx, made, db_.snapshot()));
  }
  ExportTableToPointInTimeOutput out;
  out.export_description = description_of(made);
  co_return out;
}

// Writes as whoever asked for it, from one instant.
Task<void> DynamoService::run_export(Ctx ctx, Export work, std::unique_ptr<kv::Reader> instant) {
  ctx.region.clear();  // the bucket may be of any
  const auto written = co_await as_result(write_export(ctx, work, *instant));
  work.ended = clock_.now();
  work.state = written ? TransferState::kDone : TransferState::kFailed;
  if (!written) std::tie(work.failure_code, work.failure) = failure_of(written.error());
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    tx.put(key_of(work), kv::encode(work));
    co_return;
  });
  --running_;
}

Task<void> DynamoService::write_export(Ctx& ctx, Export& work, kv::Reader& instant) {
  const Past past = co_await read_past(instant, work);
  ExportFiles files(cloud_, ctx, work);
  co_await files.begin();
  const std::string prefix = rows_prefix(work.table, 0);
  if (work.incremental) {
    for (const auto& [row, change] : past.within) {
      if (stopping_) co_await fail(validation("Virga was stopped"));
      const auto later = past.later.find(row);
      const auto after = later != past.later.end() ? later->second : co_await instant.get(prefix + row);
      co_await files.change(change, after);
    }
    co_return co_await files.end(clock_.now());
  }
  for (kv::Range range = kv::prefix_range(prefix);;) {
    const auto rows = co_await instant.scan(range, {.limit = kRows, .byte_limit = kBytes});
    if (rows.empty()) break;
    if (stopping_) co_await fail(validation("Virga was stopped"));
    for (const kv::Entry& row : rows) {
      if (!past.later.contains(row.key.substr(prefix.size()))) co_await files.item(View(row.value));
    }
    range.begin = rows.back().key + '\0';
  }
  for (const auto& [row, before] : past.later) {
    if (before) co_await files.item(View(*before));
  }
  co_await files.end(clock_.now());
}

Task<DescribeExportOutput> DynamoService::describe_export(Ctx& ctx, const DescribeExportInput& in) {
  const auto id = id_in(ctx, in.export_arn, "/export/");
  if (!id) co_return validation("Invalid Export ARN");
  if (id->empty()) co_return err::ExportNotFoundException("Export not found: Invalid export arn");
  const auto record = co_await db_.snapshot()->get(transfer_key('x', ctx.account, ctx.region, *id));
  if (!record) {
    co_return err::ExportNotFoundException(cat("Export not found: Export not found: ", in.export_arn));
  }
  DescribeExportOutput out;
  out.export_description = description_of(kv::decode<Export>(*record));
  co_return out;
}

}  // namespace virga::dynamodb
