// What a mapping tells its on-failure destination of records that it discarded.
#pragma once

#include <string>

#include "base/json.h"
#include "base/time.h"
#include "kv/db.h"
#include "services/lambda/esm/engine.h"

namespace virga::lambda::esm {

// How an object ends its name that tells of what failed at `now`: 2024/05/01/2024-05-01T12.00.00-<random>.
std::string name_of_record(Time now);
// The document that a destination gets.
std::string failure_document(const Mapping& mapping, const Discarded& discarded, Time now);
// The shard and the range of it: the member of failure documents for the source's kind.
void add_batch_info(Json& document, const Mapping& mapping, const Discarded& discarded);
// As Lambda tells it, as a session of `role`.
kernel::TargetDelivery letter_of(const Mapping& mapping, const Discarded& discarded, const std::string& role, Time now);

}  // namespace virga::lambda::esm
