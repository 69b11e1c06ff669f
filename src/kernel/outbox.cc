#include "kernel/outbox.h"

#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {
namespace {
std::string prefix() { return kv::KeyWriter("outbox").take(); }
}  // namespace

void put_in_outbox(kv::Txn& tx, const OutboxItem& item) { tx.put_ordered(prefix(), kv::encode(item)); }

Task<std::vector<OutboxItem>> read_outbox(kv::Reader& reader, std::string to, size_t limit) {
  std::vector<OutboxItem> out;
  const kv::ScanOptions options{.limit = to.empty() ? limit : kOutboxKept, .reverse = true};
  for (const kv::Entry& entry : co_await reader.scan(kv::prefix_range(prefix()), options)) {
    OutboxItem item = kv::decode<OutboxItem>(entry.value);
    if (!to.empty() && item.to != to) continue;
    out.push_back(std::move(item));
    if (out.size() == limit) break;
  }
  co_return out;
}

Json outbox_json(const std::vector<OutboxItem>& items) {
  Json list = Json::array();
  for (const OutboxItem& item : items) {
    Json one = Json::object({{"Time", iso8601_millis(item.time)},
                             {"Service", item.service},
                             {"Account", item.account},
                             {"Region", item.region},
                             {"Kind", item.kind},
                             {"To", item.to},
                             {"Subject", item.subject},
                             {"Body", item.body}});
    for (const auto& [name, value] : item.details) one[name] = value;
    list.push_back(std::move(one));
  }
  return Json::object({{"Items", std::move(list)}});
}

Task<void> trim_outbox(kv::Db& db) {
  const auto snapshot = db.snapshot();
  const auto newest = co_await snapshot->scan(kv::prefix_range(prefix()), {.limit = kOutboxKept + 1, .reverse = true});
  if (newest.size() <= kOutboxKept) co_return;
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    tx.erase_range({prefix(), newest[kOutboxKept - 1].key});
    co_return;
  });
}

}  // namespace virga::kernel
