#include "services/dynamodb/page.h"

#include <algorithm>

#include "services/dynamodb/limits.h"
#include "services/dynamodb/request.h"

namespace virga::dynamodb {

namespace {

// What an item adds to what a page costs.
double share(const PageRequest& request, size_t size) {
  return static_cast<double>(size) / 4096 / (request.consistent ? 1 : 2);
}

Task<Page> read_rows(kv::Reader& reader, Store& store, const PageRequest& request) {
  constexpr size_t kRowsAtOnce = 1000;
  Page page;
  size_t bytes = 0;
  kv::Range range = request.range;
  for (;;) {
    const size_t wanted = std::min(kRowsAtOnce, request.limit - static_cast<size_t>(page.scanned));
    auto rows =
        co_await reader.scan(range, {.limit = wanted, .byte_limit = kPageBytes - bytes, .reverse = request.reverse});
    for (kv::Entry& row : rows) {
      std::optional<Item> fetched;
      View item(row.value);
      size_t size = item.item_size();
      page.bytes += size;
      if (request.fetch) {
        fetched = co_await store.find_item(request.table, row_key(*request.table, nullptr, item));
        if (fetched) {
          item = fetched->view();
          size = item.item_size();
          page.fetched += read_units(size, request.consistent);
        }
      }
      ++page.scanned;
      bytes += size;
      if (request.counts_items)
        store.count(*request.table, request.index, Counted::kAccess, item, share(request, size));
      const bool last = static_cast<size_t>(page.scanned) >= request.limit || bytes >= kPageBytes;
      if (last) page.last_key = pick(View(row.value), start_key_names(*request.table, request.index));
      if (!request.filter || holds(*request.filter, item)) {
        ++page.count;
        if (request.projection) {
          if (!request.count_only) page.items.push_back(request.projection->project(item));
        } else if (!request.count_only) {
          page.items.push_back(fetched ? std::move(*fetched) : Item::of_bytes(std::move(row.value)));
        }
      }
      if (last) co_return page;
    }
    if (rows.size() < wanted) co_return page;
    if (request.reverse) {
      range.end = rows.back().key;
    } else {
      range.begin = rows.back().key + '\0';
    }
  }
}

}  // namespace

Task<Page> read_page(kv::Reader& reader, Store& store, const PageRequest& request) {
  const View partition = view_of(request.partition);
  store.admit_read(*request.table, request.index, partition);
  Page page = co_await read_rows(reader, store, request);
  if (is_metered(*request.table) || request.partition) {
    store.charge_read(*request.table, request.index, read_units(page.bytes, request.consistent), partition);
    if (page.fetched > 0) store.charge_read(*request.table, nullptr, page.fetched, partition);
  }
  co_return page;
}

std::optional<ConsumedCapacity> capacity_of_pages(std::optional<ReturnConsumedCapacity> asked,
                                                  const PageRequest& request, double units, double fetched) {
  auto out = capacity_of_read(asked, request.table->name, units + fetched);
  if (!out || !request.index || *asked != ReturnConsumedCapacity::INDEXES) return out;
  out->table->capacity_units = fetched;
  auto& indexes = request.index->local ? out->local_secondary_indexes : out->global_secondary_indexes;
  indexes.emplace()[request.index->name].capacity_units = units;
  return out;
}

}  // namespace virga::dynamodb
