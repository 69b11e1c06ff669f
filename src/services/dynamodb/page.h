// Reading many items: the rows of a range until the limit or a megabyte.
#pragma once

#include <aws/dynamodb/types.h>

#include <optional>
#include <vector>

#include "services/dynamodb/store.h"

namespace virga::dynamodb {

// What a page is made of. Everything was checked.
struct PageRequest {
  TablePtr table;
  const Index* index = nullptr;
  kv::Range range;
  bool reverse = false;
  size_t limit = SIZE_MAX;
  const Node* filter = nullptr;
  const PathSet* projection = nullptr;
  bool count_only = false;
  bool consistent = false;
  bool fetch = false;  // the index lacks attributes: read the items themselves
  // For contributor insights: the partition whose access it is, or else that it is one of each item.
  std::optional<Item> partition;
  bool counts_items = false;
};

struct Page {
  std::vector<Item> items;
  int32_t count = 0, scanned = 0;
  std::optional<Item> last_key;
  size_t bytes = 0;    // of the rows of the table, or of the index
  double fetched = 0;  // units of the items that were read because the index lacks attributes
};

// Until the limit or a megabyte is reached, whichever is first; filters come after both, as AWS has it. The request
// outlives the call.
Task<Page> read_page(kv::Reader& reader, Store& store, const PageRequest& request);

// What reading cost: `units` of the table, or of the index, and those that were fetched for an index.
std::optional<ConsumedCapacity> capacity_of_pages(std::optional<ReturnConsumedCapacity> asked,
                                                  const PageRequest& request, double units, double fetched);

}  // namespace virga::dynamodb
