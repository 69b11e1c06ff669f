// Imports from S3 into a new table.
#include <aws/dynamodb/errors.h>
#include <aws/s3/ops.h>
#include <aws/s3/types.h>

#include "base/encoding.h"
#include "base/gzip.h"
#include "base/id.h"
#include "base/source.h"
#include "base/str.h"
#include "base/zstd.h"
#include "kernel/cloud.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/attribute_codec.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/ion.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/new_table.h"
#include "services/dynamodb/records.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/schema.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/transfer.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kAtOnce = 200;  // items of a transaction
// Packed text is unpacked in pieces so small that what comes out of one fits in memory, whatever it is.
constexpr size_t kPackedPiece = 1 << 10;

// Unpacks an object's bytes as they come.
class Unpacker {
 public:
  explicit Unpacker(Packing packing) {
    if (packing == Packing::kGzip) gzip_.emplace();
    if (packing == Packing::kZstd) zstd_.emplace();
  }
  size_t piece() const { return gzip_ || zstd_ ? kPackedPiece : std::string_view::npos; }
  void feed(std::string_view bytes, RecordReader& out) {
    const auto sink = [&](std::string_view text) { out.add(text); };
    gzip_ ? gzip_->feed(bytes, sink) : zstd_ ? zstd_->feed(bytes, sink) : sink(bytes);
  }
  void finish() const {
    if (gzip_) gzip_->finish();
    if (zstd_) zstd_->finish();
  }

 private:
  std::optional<Gunzip> gzip_;
  std::optional<Unzstd> zstd_;
};

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

// The next item of a line, which is taken from it.
Item take_item(std::string_view& line) {
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
  line.remove_prefix(reader.offset());
  if (!item) throw validation("The line has no Item");
  check_well_formed(*item);
  return std::move(*item);
}

}  // namespace

ImportTableDescription description_of(const Import& i) {
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
  source.s3_bucket_owner = i.owner.empty() ? i.table.account : i.owner;
  out.input_format = i.format;
  out.input_compression_type = i.packing == Packing::kGzip   ? InputCompressionType::GZIP
                               : i.packing == Packing::kZstd ? InputCompressionType::ZSTD
                                                             : InputCompressionType::NONE;
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
  if (!i.table.on_demand) made.provisioned_throughput = {i.table.throughput.read, i.table.throughput.write};
  made.on_demand_throughput = table.on_demand_throughput;
  if (table.global_secondary_indexes) {
    made.global_secondary_indexes.emplace();
    for (const auto& index : *table.global_secondary_indexes) {
      GlobalSecondaryIndex& told = made.global_secondary_indexes->emplace_back();
      told.index_name = *index.index_name;
      told.key_schema = *index.key_schema;
      told.projection = *index.projection;
      const Throughput& given = i.table.find_index(*index.index_name)->throughput;
      if (!i.table.on_demand) told.provisioned_throughput = {given.read, given.write};
    }
  }
  if (!i.delimiter.empty() || !i.headers.empty()) {
    auto& csv = out.input_format_options.emplace().csv.emplace();
    if (!i.delimiter.empty()) csv.delimiter = i.delimiter;
    if (!i.headers.empty()) csv.header_list = i.headers;
  }
  return out;
}

Task<ImportTableOutput> DynamoService::import_table(Ctx& ctx, const ImportTableInput& in) {
  const TableCreationParameters& wanted = in.table_creation_parameters;
  if (in.input_format_options && in.input_format_options->csv && in.input_format != InputFormat::CSV) {
    co_return invalid_request(
        cat("Unsupported InputFormatOptions for the given input format: ", to_string(in.input_format), "."));
  }
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
  made.owner = in.s3_bucket_source.s3_bucket_owner.value_or("");
  made.token = in.client_token.value_or(uuid());
  made.format = in.input_format;
  made.packing = in.input_compression_type == InputCompressionType::GZIP   ? Packing::kGzip
                 : in.input_compression_type == InputCompressionType::ZSTD ? Packing::kZstd
                                                                           : Packing::kNone;
  if (in.input_format_options && in.input_format_options->csv) {
    made.delimiter = in.input_format_options->csv->delimiter.value_or("");
    if (in.input_format_options->csv->header_list) made.headers = *in.input_format_options->csv->header_list;
  }
  const bool fresh = co_await db_.transact([&](kv::Txn& tx) -> Task<bool> {
    Store store(tx, cache_);
    const TablePtr there = co_await store.find_table(name);
    const auto others =
        co_await tx.scan(kv::prefix_range(kv::KeyWriter("ddb").u8('m').text(ctx.account).text(ctx.region).view()), {});
    for (const kv::Entry& entry : others) {
      Import other = kv::decode<Import>(entry.value);
      if (other.token != made.token) continue;
      if (other.table.name != name.name) {
        co_await fail(
            err::ImportConflictException("Import conflict: Duplicate request detected with conflicting parameters"));
      }
      // What else it says otherwise AWS does not mind.
      if (there && other.state != TransferState::kRunning) continue;
      made = std::move(other);
      co_return false;
    }
    if (there) co_await fail(err::ResourceInUseException(cat("Table already exists: ", name.name)));
    co_await add_table(tx, store, made.table);
    tx.put(key_of(made), kv::encode(made));
    co_return true;
  });
  if (fresh) {
    ++running_;
    start_background("dynamodb.import", run_import(ctx, made));
  }
  ImportTableOutput out;
  out.import_table_description = description_of(made);
  co_return out;
}

Task<void> DynamoService::run_import(Ctx ctx, Import work) {
  ctx.region.clear();  // the bucket may be of any
  const auto read = co_await as_result(read_import(ctx, work));
  work.ended = clock_.now();
  work.state = read ? TransferState::kDone : TransferState::kFailed;
  if (!read) {
    std::tie(work.failure_code, work.failure) = failure_of(read.error());
  } else if (work.errors > 0) {
    work.state = TransferState::kFailed;
    work.failure_code = "ItemValidationError";
    work.failure = "Some of the items failed validation checks.";
  }
  co_await end_import(std::move(work));
  --running_;
}

// The table stays, with what was imported, as AWS leaves it; where nothing could be read there is none.
Task<void> DynamoService::end_import(Import work) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    tx.put(key_of(work), kv::encode(work));
    const TablePtr found = co_await store.find_table({work.table.account, work.table.region, work.table.name});
    if (!found || found->number != work.table.number) co_return;
    if (work.failure_code == kNoBucket || work.failure_code == kNoAccess)
      co_return store.erase_table({found->account, found->region, found->name});
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
    request.expected_bucket_owner = expected_owner(work.owner);
    if (!work.prefix.empty()) request.prefix = work.prefix;
    request.continuation_token = after;
    auto page = co_await cloud_.call<s3::op::ListObjectsV2>(ctx, std::move(request));
    if (page.contents) {
      for (const s3::Object& object : *page.contents) keys.push_back(object.key.value_or(""));
    }
    after = page.next_continuation_token;
  } while (after);

  for (const std::string& key : keys) {
    if (stopping_) co_await fail(validation("Virga was stopped"));
    s3::GetObjectRequest request;
    request.bucket = work.bucket;
    request.expected_bucket_owner = expected_owner(work.owner);
    request.key = key;
    auto object = co_await cloud_.call<s3::op::GetObject>(ctx, std::move(request));
    // Records become rows by the few, while the object is read: it is never there whole.
    std::vector<Item> items;
    const auto put_items = [&]() -> Task<void> {
      co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
        Store store(tx, cache_);
        for (const Item& item : items) {
          const std::string row = row_key(work.table, nullptr, item);
          const auto before = co_await store.find_item(nullptr, row);
          store.replace(work.table, row, view_of(before), item, nullptr);
        }
      });
      work.imported += static_cast<int64_t>(items.size());
      items.clear();
    };
    const auto take = [&](auto make) -> Task<void> {
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
      if (items.size() >= kAtOnce) co_await put_items();
    };
    const bool csv = work.format == InputFormat::CSV;
    RecordReader records(!csv ? std::nullopt : std::optional(work.delimiter.empty() ? ',' : work.delimiter[0]));
    std::vector<std::string> headers = work.headers;
    const auto take_records = [&](bool last) -> Task<void> {
      while (auto record = records.next(last)) {
        if (csv && headers.empty()) {
          headers = std::move(*record);
          continue;
        }
        if (csv) {
          co_await take([&] { return item_of_record(work, headers, *record); });
        } else if (work.format == InputFormat::ION) {
          co_await take([&] { return read_ion_item(record->front()); });
        } else {
          // A line may hold several; what cannot be read ends it.
          for (std::string_view line = record->front(); !trim(line).empty();) {
            const size_t before = line.size();
            co_await take([&] { return take_item(line); });
            if (line.size() == before) break;
          }
        }
      }
    };
    Unpacker unpacker(work.packing);
    // An object that is not packed as was said is one fault; the others are read.
    bool unpacked = true;
    const auto unpack = [&](auto step) {
      try {
        step();
        return true;
      } catch (const GzipError&) {
      } catch (const ZstdError&) {
      }
      ++work.items;
      ++work.errors;
      return false;
    };
    while (const auto chunk = co_await object.body->next()) {
      if (stopping_) co_await fail(validation("Virga was stopped"));
      work.bytes += static_cast<int64_t>(chunk->size());
      for (std::string_view rest = *chunk; unpacked && !rest.empty();) {
        const std::string_view piece = rest.substr(0, unpacker.piece());
        rest.remove_prefix(piece.size());
        unpacked = unpack([&] { unpacker.feed(piece, records); });
        co_await take_records(false);
      }
      if (!unpacked) break;
    }
    if (unpacked) unpacked = unpack([&] { unpacker.finish(); });
    co_await take_records(unpacked);
    if (!items.empty()) co_await put_items();
  }
}

Task<DescribeImportOutput> DynamoService::describe_import(Ctx& ctx, const DescribeImportInput& in) {
  const auto id = id_in(ctx, in.import_arn, "/import/");
  if (!id) co_return validation("Invalid Import ARN");
  const auto record = co_await db_.snapshot()->get(transfer_key('m', ctx.account, ctx.region, *id));
  if (!record) co_return err::ImportNotFoundException(cat("Import not found: ", in.import_arn));
  DescribeImportOutput out;
  out.import_table_description = description_of(kv::decode<Import>(*record));
  co_return out;
}

}  // namespace virga::dynamodb
