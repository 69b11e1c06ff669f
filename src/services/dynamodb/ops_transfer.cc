// What exports and imports share: their keys, their lists, and what a stop does to them.
#include <aws/dynamodb/errors.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/transfer.h"

namespace virga::dynamodb {

std::string transfer_key(char kind, const std::string& account, const std::string& region, const std::string& id) {
  return kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind)).text(account).text(region).text(id);
}

std::string transfer_id(Time now) {
  const std::string millis = std::to_string(now.micros / 1000);
  return cat(std::string(millis.size() < 14 ? 14 - millis.size() : 0, '0'), millis, "-", hex_encode(random_bytes(4)));
}

std::optional<std::string> id_in(const Ctx& ctx, const std::string& arn, std::string_view word) {
  const auto parsed = kernel::parse_arn(arn);
  const size_t at = arn.find(word);
  if (!parsed || parsed->service != "dynamodb" || at == std::string::npos) return std::nullopt;
  if (parsed->account != ctx.account || parsed->region != ctx.region) return "";
  return arn.substr(at + word.size());
}

std::pair<std::string, std::string> failure_of(const Failure& failure) {
  if (const Error* error = error_of(failure)) {
    std::string_view code = error->shape->code;
    const std::string told =
        cat(error->message, " (Service: Amazon S3; Status Code: ", error->shape->status, "; Error Code: ", code, ")");
    if (code == "NoSuchBucket") return {std::string(kNoBucket), told};
    if (code == "AccessDenied") return {std::string(kNoAccess), told};
    return {std::string(code), error->message};
  }
  return {"UNKNOWN", virga::describe(failure)};
}

namespace {
constexpr int kShown = 10;  // of a list that is not told how many

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
  // Exports are of the table that there is, not of one that had its name.
  std::string table_id;
  if (in.table_arn) {
    const auto reader = db_.snapshot();
    const TablePtr table = co_await Store(*reader, cache_).find_table(table_named(ctx, *in.table_arn));
    if (!table) co_return out;
    table_id = table->id;
  }
  co_await list_transfers<Export>(
      ctx, 'x', "dynamodb:ListExports", in.next_token, static_cast<size_t>(in.max_results.value_or(kShown)),
      out.next_token, [&](const Export& e) { return table_id.empty() || e.table.id == table_id; },
      [&](const Export& e) {
        out.export_summaries->push_back({e.arn(), description_of(e).export_status,
                                         e.incremental ? ExportType::INCREMENTAL_EXPORT : ExportType::FULL_EXPORT});
      });
  co_return out;
}

Task<ListImportsOutput> DynamoService::list_imports(Ctx& ctx, const ListImportsInput& in) {
  ListImportsOutput out;
  out.import_summary_list.emplace();
  co_await list_transfers<Import>(
      ctx, 'm', "dynamodb:ListImports", in.next_token, static_cast<size_t>(in.page_size.value_or(kShown)),
      out.next_token, [&](const Import& i) { return !in.table_arn || i.table.arn() == *in.table_arn; },
      [&](const Import& i) {
        const ImportTableDescription d = description_of(i);
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

// Newest first.
template <class Record, class Wanted, class Each>
Task<void> DynamoService::list_transfers(Ctx& ctx, char kind, std::string_view operation,
                                         std::optional<std::string> token, size_t limit,
                                         std::optional<std::string>& next, Wanted wanted, Each each) {
  kv::Range range =
      kv::prefix_range(kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind)).text(ctx.account).text(ctx.region).view());
  const Error bad_token = invalid_request(cat("Provided nextToken is invalid: ", token.value_or("")));
  if (const auto after = kernel::open_page<AfterTransfer>(tokens_, ctx, operation, token, bad_token)) {
    range.end = after->key;
  }
  const auto reader = db_.snapshot();
  size_t given = 0;
  std::string last;
  for (;;) {
    const auto rows = co_await reader->scan(range, {.limit = 100, .reverse = true});
    for (const kv::Entry& row : rows) {
      const Record record = kv::decode<Record>(row.value);
      if (!wanted(record)) continue;
      if (given++ == limit) {
        next = kernel::seal_page(tokens_, ctx, operation, AfterTransfer{last});
        co_return;
      }
      each(record);
      last = row.key;
    }
    if (rows.size() < 100) co_return;
    range.end = rows.back().key;
  }
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
