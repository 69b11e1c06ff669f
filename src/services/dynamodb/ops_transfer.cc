#include <aws/dynamodb/errors.h>
#include <aws/s3/ops.h>
#include <aws/s3/types.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/gzip.h"
#include "base/id.h"
#include "base/log.h"
#include "base/source.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/schema.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/transfer.h"

namespace virga::dynamodb {

std::vector<std::vector<std::string>> csv_records(std::string_view text, char delimiter) {
  std::vector<std::vector<std::string>> out;
  std::vector<std::string> record(1);
  bool quoted = false, any = false;
  const auto end_record = [&] {
    if (any || record.size() > 1) out.push_back(std::move(record));
    record.assign(1, {});
    any = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        record.back() += '"';
        ++i;
      } else if (c == '"') {
        quoted = false;
      } else {
        record.back() += c;
      }
    } else if (c == '"' && record.back().empty()) {
      quoted = any = true;
    } else if (c == delimiter) {
      record.emplace_back();
    } else if (c == '\n') {
      end_record();
    } else if (c != '\r' || i + 1 >= text.size() || text[i + 1] != '\n') {
      record.back() += c;
      any = true;
    }
  }
  end_record();
  return out;
}

namespace {

constexpr uint64_t kFileBytes = 32 << 20;    // of a file of an export, uncompressed
constexpr uint64_t kMostInput = 1ull << 30;  // of one object to import, uncompressed
constexpr uint64_t kMostUndone = 256 << 20;  // changes that an export into the past takes back in memory
constexpr size_t kRows = 500, kBytes = 1 << 20;

std::string transfer_key(char kind, const std::string& account, const std::string& region, const std::string& id) {
  return kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind)).text(account).text(region).text(id);
}
template <class Record>
std::string key_of(const Record& record) {
  const char kind = std::is_same_v<Record, Export> ? 'x' : 'm';
  return transfer_key(kind, record.table.account, record.table.region, record.id);
}

std::string transfer_id(Time now) {
  const std::string millis = std::to_string(now.micros / 1000);
  return cat(std::string(millis.size() < 14 ? 14 - millis.size() : 0, '0'), millis, "-", hex_encode(random_bytes(4)));
}

// What an ARN names after `word`; empty when it is of another account or region.
std::string id_in(const Ctx& ctx, const std::string& arn, std::string_view word) {
  const auto parsed = kernel::parse_arn(arn);
  const size_t at = arn.find(word);
  if (!parsed || at == std::string::npos || parsed->account != ctx.account || parsed->region != ctx.region) return {};
  return arn.substr(at + word.size());
}

ExportDescription describe_export_of(const Export& e) {
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
  out.export_time = e.at;
  out.client_token = e.token;
  out.s3_bucket = e.bucket;
  if (!e.prefix.empty()) out.s3_prefix = e.prefix;
  out.s3_sse_algorithm = S3SseAlgorithm::AES256;
  if (!e.failure.empty()) out.failure_code = e.failure_code, out.failure_message = e.failure;
  out.export_format = ExportFormat::DYNAMODB_JSON;
  out.export_type = ExportType::FULL_EXPORT;
  if (e.state == TransferState::kDone) out.billed_size_bytes = e.bytes, out.item_count = e.items;
  return out;
}

ImportTableDescription describe_import_of(const Import& i) {
  ImportTableDescription out;
  out.import_arn = i.arn();
  out.import_status = i.state == TransferState::kRunning ? ImportStatus::IN_PROGRESS
                      : i.state == TransferState::kDone  ? ImportStatus::COMPLETED
                                                         : ImportStatus::FAILED;
  out.table_arn = i.table.arn();
  out.table_id = i.table.id;
  out.client_token = i.token;
  auto& source = out.s3_bucket_source.emplace();
  source.s3_bucket = i.bucket;
  if (!i.prefix.empty()) source.s3_key_prefix = i.prefix;
  out.input_format = i.csv ? InputFormat::CSV : InputFormat::DYNAMODB_JSON;
  out.input_compression_type = i.compressed ? InputCompressionType::GZIP : InputCompressionType::NONE;
  out.error_count = i.errors;
  out.start_time = i.started;
  if (i.ended.micros) out.end_time = i.ended;
  out.processed_size_bytes = i.bytes;
  out.processed_item_count = i.items;
  out.imported_item_count = i.imported;
  if (!i.failure.empty()) out.failure_code = i.failure_code, out.failure_message = i.failure;
  const TableDescription table = description_of(i.table);
  TableCreationParameters& made = out.table_creation_parameters.emplace();
  made.table_name = i.table.name;
  made.attribute_definitions = *table.attribute_definitions;
  made.key_schema = *table.key_schema;
  made.billing_mode = i.table.on_demand ? BillingMode::PAY_PER_REQUEST : BillingMode::PROVISIONED;
  return out;
}

std::pair<std::string, std::string> failure_of(const Failure& failure) {
  if (const Error* error = error_of(failure)) return {std::string(error->shape->code), error->message};
  return {"UNKNOWN", virga::describe(failure)};
}

Task<void> put_object(kernel::Cloud& cloud, Ctx& ctx, std::string bucket, std::string key, std::string body) {
  s3::PutObjectRequest request;
  request.bucket = std::move(bucket);
  request.key = std::move(key);
  request.body = body_of(std::move(body));
  co_await cloud.call<s3::op::PutObject>(ctx, std::move(request));
}

// A record of an import as an item. Throws what is wrong with it.
Item item_of_record(const Import& import, const std::vector<std::string>& headers,
                    const std::vector<std::string>& record) {
  if (record.size() > headers.size()) throw validation("The record has more fields than there are headers");
  std::vector<AttributeValue> values;
  values.reserve(record.size());
  std::vector<std::pair<std::string_view, View>> entries;
  for (size_t i = 0; i < record.size(); ++i) {
    // Keys have the type of their definition, everything else is text.
    const Type type = import.table.type_of(headers[i]);
    if (type == Type::kN) {
      const auto number = Number::parse(record[i]);
      if (!number) throw validation(message_of(number.error(), record[i]));
      values.push_back(AttributeValue::number(*number));
    } else if (type == Type::kB) {
      const auto bytes = base64_decode(record[i]);
      if (!bytes) throw validation("A binary key is not base64");
      std::string encoded;
      append_binary(encoded, *bytes);
      values.push_back(AttributeValue::of_bytes(std::move(encoded)));
    } else {
      values.push_back(AttributeValue::string(record[i]));
    }
    entries.emplace_back(headers[i], values.back().view());
  }
  return make_item(std::move(entries));
}

Item item_of_line(std::string_view line) {
  JsonReader reader(line);
  std::optional<Item> item;
  std::string name;
  reader.begin_object();
  while (reader.next_key(name)) {
    if (name == "Item") {
      item = read_json_item(reader);
    } else {
      reader.skip_value();
    }
  }
  if (!item) throw validation("The line has no Item");
  check_well_formed(*item);
  return std::move(*item);
}

}  // namespace

Task<ExportTableToPointInTimeOutput> DynamoService::export_table(Ctx& ctx, const ExportTableToPointInTimeInput& in) {
  if (in.export_format == ExportFormat::ION) co_return validation("ExportFormat ION is not supported here yet.");
  if (in.export_type == ExportType::INCREMENTAL_EXPORT || in.incremental_export_specification) {
    co_return validation("ExportType INCREMENTAL_EXPORT is not supported here yet.");
  }
  if (in.s3_sse_algorithm == S3SseAlgorithm::KMS || in.s3_sse_kms_key_id) {
    co_return validation("S3SseAlgorithm KMS is not supported here yet.");
  }
  const TableName name = table_named(ctx, in.table_arn);
  Export made;
  made.started = ctx.now();
  made.id = transfer_id(made.started);
  made.bucket = in.s3_bucket;
  made.prefix = in.s3_prefix.value_or("");
  made.token = in.client_token.value_or(uuid());
  made.at = in.export_time.value_or(made.started);
  const bool fresh = co_await transact([&](kv::Txn& tx) -> Task<bool> {
    const auto others =
        co_await tx.scan(kv::prefix_range(kv::KeyWriter("ddb").u8('x').text(ctx.account).text(ctx.region).view()), {});
    for (const kv::Entry& entry : others) {
      Export other = kv::decode<Export>(entry.value);
      if (other.token != made.token) continue;
      if (other.bucket != made.bucket || other.prefix != made.prefix || other.table.name != name.name) {
        co_await fail(err::ExportConflictException("A different export has the same client token"));
      }
      made = std::move(other);
      co_return false;
    }
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(name);
    if (!table) co_await fail(err::TableNotFoundException(cat("Table not found: ", name.name)));
    if (!table->recovery) {
      co_await fail(err::PointInTimeRecoveryUnavailableException(
          cat("Point in time recovery is not enabled for table '", name.name, "'")));
    }
    const Time oldest = std::max(table->recovery->since, made.started - std::chrono::hours(24 * table->recovery->days));
    if (made.at > made.started || made.at < oldest) {
      co_await fail(
          err::InvalidExportTimeException("The specified ExportTime is outside of the point in time recovery window"));
    }
    made.table = *table;
    tx.put(key_of(made), kv::encode(made));
    co_return true;
  });
  if (fresh) {
    ++running_;
    start_background("dynamodb.export", run_export(ctx, made, db_.snapshot()));
  }
  ExportTableToPointInTimeOutput out;
  out.export_description = describe_export_of(made);
  co_return out;
}

// Writes as whoever asked for it, from one instant.
Task<void> DynamoService::run_export(Ctx ctx, Export work, std::unique_ptr<kv::Reader> instant) {
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
  // What changed since the time asked for, as it was: the oldest change after it decides.
  std::map<std::string, std::optional<std::string>> past;
  uint64_t undone = 0;
  bool more = true;
  for (kv::Range range = kv::prefix_range(undo_prefix(work.table.number)); more;) {
    const auto rows = co_await instant.scan(range, {.limit = kRows, .byte_limit = kBytes, .reverse = true});
    more = !rows.empty();
    for (const kv::Entry& row : rows) {
      Undo undo = kv::decode<Undo>(row.value);
      if (undo.at <= work.at) {
        more = false;
        break;
      }
      undone += row.value.size();
      if (undone > kMostUndone)
        co_await fail(validation("Too much changed since ExportTime: restore the table to that time and export it"));
      past[undo.row] = undo.existed ? std::optional(std::move(undo.before)) : std::nullopt;
    }
    if (more) range.end = rows.back().key;
  }

  const std::string root =
      cat(work.prefix, work.prefix.empty() || work.prefix.ends_with('/') ? "" : "/", "AWSDynamoDB/", work.id);
  co_await put_object(cloud_, ctx, work.bucket, root + "/_started", "");
  std::string lines, files;
  int64_t in_file = 0;
  const auto flush = [&]() -> Task<void> {
    const std::string body = gzip(lines);
    const std::string key = cat(root, "/data/", hex_encode(random_bytes(13)), ".json.gz");
    const std::string sum = md5(body);
    append(files,
           Json::object({{"itemCount", in_file},
                         {"md5Checksum", base64_encode(sum)},
                         {"etag", hex_encode(sum)},
                         {"dataFileS3Key", key}})
               .dump(),
           "\n");
    lines.clear();
    in_file = 0;
    co_await put_object(cloud_, ctx, work.bucket, key, body);
  };
  const auto add = [&](View item) -> Task<void> {
    lines += "{\"Item\":";
    JsonWriter writer(lines);
    write_json_item(writer, item);
    lines += "}\n";
    ++in_file;
    ++work.items;
    work.bytes += static_cast<int64_t>(item.item_size());
    if (lines.size() >= kFileBytes) co_await flush();
  };
  const std::string prefix = rows_prefix(work.table, 0);
  for (kv::Range range = kv::prefix_range(prefix);;) {
    const auto rows = co_await instant.scan(range, {.limit = kRows, .byte_limit = kBytes});
    if (rows.empty()) break;
    if (stopping_) co_await fail(validation("Virga was stopped"));
    for (const kv::Entry& row : rows) {
      if (past.contains(row.key.substr(prefix.size()))) continue;
      co_await add(View(row.value));
    }
    range.begin = rows.back().key + '\0';
  }
  for (const auto& [row, before] : past) {
    if (before) co_await add(View(*before));
  }
  if (in_file > 0 || files.empty()) co_await flush();

  const auto manifest = [&](std::string_view name, std::string body) -> Task<void> {
    const std::string key = cat(root, "/", name);
    co_await put_object(cloud_, ctx, work.bucket, key + ".md5", base64_encode(md5(body)));
    co_await put_object(cloud_, ctx, work.bucket, key + ".json", std::move(body));
  };
  co_await manifest("manifest-files", files);
  work.manifest = root + "/manifest-summary.json";
  const Json summary = Json::object({{"version", "2020-06-30"},
                                     {"exportArn", work.arn()},
                                     {"startTime", iso8601_millis(work.started)},
                                     {"endTime", iso8601_millis(clock_.now())},
                                     {"tableArn", work.table.arn()},
                                     {"tableId", work.table.id},
                                     {"exportTime", iso8601_millis(work.at)},
                                     {"s3Bucket", work.bucket},
                                     {"s3Prefix", work.prefix},
                                     {"s3SseAlgorithm", "AES256"},
                                     {"s3SseKmsKeyId", Json()},
                                     {"manifestFilesS3Key", root + "/manifest-files.json"},
                                     {"billedSizeBytes", work.bytes},
                                     {"itemCount", work.items},
                                     {"outputFormat", "DYNAMODB_JSON"},
                                     {"exportType", "FULL_EXPORT"}});
  co_await manifest("manifest-summary", summary.dump());
}

Task<DescribeExportOutput> DynamoService::describe_export(Ctx& ctx, const DescribeExportInput& in) {
  const auto record =
      co_await db_.snapshot()->get(transfer_key('x', ctx.account, ctx.region, id_in(ctx, in.export_arn, "/export/")));
  if (!record) co_return err::ExportNotFoundException(cat("Export not found: ", in.export_arn));
  DescribeExportOutput out;
  out.export_description = describe_export_of(kv::decode<Export>(*record));
  co_return out;
}

namespace {
struct AfterTransfer {
  std::string key;
  template <class A>
  void fields(A& a) {
    a(1, key);
  }
};
}  // namespace

Task<ListExportsOutput> DynamoService::list_exports(Ctx& ctx, const ListExportsInput& in) {
  ListExportsOutput out;
  out.export_summaries.emplace();
  co_await list_transfers<Export>(ctx, 'x', "dynamodb:ListExports", in.table_arn, in.next_token,
                                  static_cast<size_t>(in.max_results.value_or(25)), out.next_token,
                                  [&](const Export& e) {
                                    const ExportDescription d = describe_export_of(e);
                                    out.export_summaries->push_back({d.export_arn, d.export_status, d.export_type});
                                  });
  co_return out;
}

Task<ListImportsOutput> DynamoService::list_imports(Ctx& ctx, const ListImportsInput& in) {
  ListImportsOutput out;
  out.import_summary_list.emplace();
  co_await list_transfers<Import>(ctx, 'm', "dynamodb:ListImports", in.table_arn, in.next_token,
                                  static_cast<size_t>(in.page_size.value_or(25)), out.next_token, [&](const Import& i) {
                                    const ImportTableDescription d = describe_import_of(i);
                                    ImportSummary& s = out.import_summary_list->emplace_back();
                                    s.import_arn = d.import_arn;
                                    s.import_status = d.import_status;
                                    s.table_arn = d.table_arn;
                                    s.s3_bucket_source = d.s3_bucket_source;
                                    s.input_format = d.input_format;
                                    s.start_time = d.start_time;
                                    s.end_time = d.end_time;
                                  });
  co_return out;
}

template <class Record, class Each>
Task<void> DynamoService::list_transfers(Ctx& ctx, char kind, std::string_view operation,
                                         std::optional<std::string> table, std::optional<std::string> token,
                                         size_t limit, std::optional<std::string>& next, Each each) {
  kv::Range range =
      kv::prefix_range(kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind)).text(ctx.account).text(ctx.region).view());
  if (const auto after =
          kernel::open_page<AfterTransfer>(tokens_, ctx, operation, token, validation("Invalid NextToken"))) {
    range.begin = after->key + '\0';
  }
  const auto reader = db_.snapshot();
  size_t given = 0;
  for (;;) {
    const auto rows = co_await reader->scan(range, {.limit = 100});
    for (const kv::Entry& row : rows) {
      const Record record = kv::decode<Record>(row.value);
      if (table && record.table.arn() != *table) continue;
      if (given++ == limit) {
        next = kernel::seal_page(tokens_, ctx, operation, AfterTransfer{range.begin.substr(0, range.begin.size() - 1)});
        co_return;
      }
      each(record);
      range.begin = row.key + '\0';
    }
    if (rows.size() < 100) co_return;
    range.begin = rows.back().key + '\0';
  }
}

Task<ImportTableOutput> DynamoService::import_table(Ctx& ctx, const ImportTableInput& in) {
  if (in.input_format == InputFormat::ION) co_return validation("InputFormat ION is not supported here yet.");
  if (in.input_compression_type == InputCompressionType::ZSTD) {
    co_return validation("InputCompressionType ZSTD is not supported here yet.");
  }
  const TableCreationParameters& wanted = in.table_creation_parameters;
  CreateTableInput create;
  create.table_name = wanted.table_name;
  create.attribute_definitions = wanted.attribute_definitions;
  create.key_schema = wanted.key_schema;
  create.billing_mode = wanted.billing_mode;
  create.provisioned_throughput = wanted.provisioned_throughput;
  create.on_demand_throughput = wanted.on_demand_throughput;
  create.sse_specification = wanted.sse_specification;
  create.global_secondary_indexes = wanted.global_secondary_indexes;
  refuse_unbuilt(create);
  const TableName name = new_table_name(ctx, wanted.table_name);
  Import made;
  made.table = table_of(create);
  made.table.name = name.name;
  made.table.account = ctx.account;
  made.table.region = ctx.region;
  made.table.id = uuid();
  made.table.number = random_u64();
  made.table.created = made.started = ctx.now();
  if (made.table.on_demand) made.table.on_demand_since = made.table.created;
  made.table.importing = true;
  made.id = transfer_id(made.started);
  made.bucket = in.s3_bucket_source.s3_bucket;
  made.prefix = in.s3_bucket_source.s3_key_prefix.value_or("");
  made.token = in.client_token.value_or(uuid());
  made.csv = in.input_format == InputFormat::CSV;
  made.compressed = in.input_compression_type == InputCompressionType::GZIP;
  if (in.input_format_options && in.input_format_options->csv) {
    made.delimiter = in.input_format_options->csv->delimiter.value_or(",");
    if (in.input_format_options->csv->header_list) made.headers = *in.input_format_options->csv->header_list;
  }
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    if (co_await store.find_table(name))
      co_await fail(err::ResourceInUseException(cat("Table already exists: ", name.name)));
    store.put_table(made.table);
    tx.put(key_of(made), kv::encode(made));
  });
  ++running_;
  start_background("dynamodb.import", run_import(ctx, made));
  ImportTableOutput out;
  out.import_table_description = describe_import_of(made);
  co_return out;
}

Task<void> DynamoService::run_import(Ctx ctx, Import work) {
  const auto read = co_await as_result(read_import(ctx, work));
  work.ended = clock_.now();
  work.state = read ? TransferState::kDone : TransferState::kFailed;
  if (!read) std::tie(work.failure_code, work.failure) = failure_of(read.error());
  co_await end_import(std::move(work));
  --running_;
}

// The table stays, with what was imported, as AWS leaves it.
Task<void> DynamoService::end_import(Import work) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    tx.put(key_of(work), kv::encode(work));
    const TablePtr found = co_await store.find_table({work.table.account, work.table.region, work.table.name});
    if (!found || found->number != work.table.number) co_return;
    Table table = *found;
    table.importing = false;
    store.put_table(table);
  });
}

Task<void> DynamoService::read_import(Ctx& ctx, Import& work) {
  std::vector<std::string> keys;
  std::optional<std::string> after;
  do {
    s3::ListObjectsV2Request request;
    request.bucket = work.bucket;
    if (!work.prefix.empty()) request.prefix = work.prefix;
    request.continuation_token = after;
    auto page = co_await cloud_.call<s3::op::ListObjectsV2>(ctx, std::move(request));
    if (page.contents) {
      for (const s3::Object& object : *page.contents) keys.push_back(object.key.value_or(""));
    }
    after = page.next_continuation_token;
  } while (after);
  if (keys.empty()) co_await fail(validation("No objects were found under the bucket and prefix"));

  for (const std::string& key : keys) {
    if (stopping_) co_await fail(validation("Virga was stopped"));
    s3::GetObjectRequest request;
    request.bucket = work.bucket;
    request.key = key;
    auto object = co_await cloud_.call<s3::op::GetObject>(ctx, std::move(request));
    std::string text =
        co_await read_all(*object.body, kMostInput, validation(cat("The object ", key, " is too large")));
    work.bytes += static_cast<int64_t>(text.size());
    if (work.compressed) text = gunzip(text, kMostInput);
    std::vector<Item> items;
    const auto take = [&](auto make) {
      ++work.items;
      try {
        Item item = make();
        check_item(work.table, item);
        if (item.view().item_size() > kMaxItemSize) throw validation("Item size has exceeded the maximum allowed size");
        items.push_back(std::move(item));
      } catch (const Error&) {
        ++work.errors;
      } catch (const JsonError&) {
        ++work.errors;
      }
    };
    if (work.csv) {
      auto records = csv_records(text, work.delimiter.empty() ? ',' : work.delimiter[0]);
      std::vector<std::string> headers = work.headers;
      if (headers.empty() && !records.empty()) {
        headers = records.front();
        records.erase(records.begin());
      }
      for (const auto& record : records) take([&] { return item_of_record(work, headers, record); });
    } else {
      for (const std::string_view line : split(text, '\n')) {
        if (!trim(line).empty()) take([&] { return item_of_line(line); });
      }
    }
    constexpr size_t kAtOnce = 200;
    for (size_t begin = 0; begin < items.size(); begin += kAtOnce) {
      const size_t end = std::min(items.size(), begin + kAtOnce);
      co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
        Store store(tx, cache_);
        for (size_t i = begin; i < end; ++i) {
          const std::string row = row_key(work.table, nullptr, items[i]);
          const auto before = co_await store.find_item(nullptr, row);
          store.replace(work.table, row, before ? &*before : nullptr, &items[i], nullptr);
        }
      });
      work.imported += static_cast<int64_t>(end - begin);
    }
  }
}

Task<DescribeImportOutput> DynamoService::describe_import(Ctx& ctx, const DescribeImportInput& in) {
  const auto record =
      co_await db_.snapshot()->get(transfer_key('m', ctx.account, ctx.region, id_in(ctx, in.import_arn, "/import/")));
  if (!record) co_return err::ImportNotFoundException(cat("Import not found: ", in.import_arn));
  DescribeImportOutput out;
  out.import_table_description = describe_import_of(kv::decode<Import>(*record));
  co_return out;
}

// Transfers act as whoever asked for them, which is not kept: what a stop cut off has failed.
Task<void> DynamoService::end_transfers() {
  const auto reader = db_.snapshot();
  for (const char kind : {'x', 'm'}) {
    kv::Range range = kv::prefix_range(kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind)).view());
    for (;;) {
      const auto rows = co_await reader->scan(range, {.limit = 100});
      if (rows.empty()) break;
      for (const kv::Entry& row : rows) {
        const auto end = [&](auto record) {
          record.state = TransferState::kFailed;
          record.ended = clock_.now();
          record.failure_code = "INTERRUPTED";
          record.failure = "Virga was stopped while this ran";
          return record;
        };
        if (kind == 'm') {
          const Import import = kv::decode<Import>(row.value);
          if (import.state == TransferState::kRunning) co_await end_import(end(import));
          continue;
        }
        const Export made = kv::decode<Export>(row.value);
        if (made.state != TransferState::kRunning) continue;
        co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
          tx.put(row.key, kv::encode(end(made)));
          co_return;
        });
      }
      range.begin = rows.back().key + '\0';
    }
  }
}

}  // namespace virga::dynamodb
