// What a queue is set to: names, addresses, attributes and their rules. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/context.h"
#include "services/sqs/store.h"

namespace virga::sqs {

using Attributes = std::map<std::string, std::string>;

// Throws what AWS refuses a name with.
void check_queue_name(std::string_view name);
// The queue a URL names: http://host/<account>/<name> in any of its forms, or a bare name. Throws InvalidAddress.
QueueName queue_of_url(const kernel::Ctx& ctx, std::string_view url);
std::string queue_url(const kernel::Ctx& ctx, const QueueName& queue);

// Takes attributes over into `queue`. Throws InvalidAttributeName, InvalidAttributeValue. `create`: FifoQueue may be
// given.
void apply_attributes(QueueRecord& queue, const QueueName& name, const Attributes& attributes, bool create);
// Of attributes that a repeated CreateQueue gives, the first that says something else than the queue has.
std::optional<std::string> first_difference(const QueueRecord& queue, const QueueName& name,
                                            const Attributes& attributes);
// The attributes a queue shows of its own settings: those AWS shows at all times and those that were set.
Attributes shown_attributes(const QueueRecord& queue, const QueueName& name);
bool is_attribute(std::string_view name);

// Whether `source` may have `target` for its dead letters.
bool may_redrive(const QueueRecord& target, const QueueName& source);

}  // namespace virga::sqs
