// Queues: making, finding, setting, counting, emptying and deleting them.
#include <aws/sqs/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/sqs/limits.h"
#include "services/sqs/service.h"
#include "services/sqs/settings.h"

namespace virga::sqs {
namespace {

void check_tags(const std::map<std::string, std::string>& tags) {
  if (tags.size() > kMaxTags) throw err::InvalidParameterValueException(cat("Too many tags: at most ", kMaxTags, "."));
}

Error bad_token() { return err::InvalidParameterValueException("Invalid or expired next token."); }
size_t page_size(const std::optional<int32_t>& asked) {
  if (!asked) return kDefaultList;
  if (*asked < 1 || *asked > static_cast<int32_t>(kDefaultList)) {
    throw err::InvalidParameterValueException(cat("Value ", *asked, " for parameter MaxResults is invalid. Reason: ",
                                                  "MaxResults must be an integer between 1 and 1000."));
  }
  return static_cast<size_t>(*asked);
}

// How many rows [begin, end) has, counting no further than `most`.
Task<int64_t> count_rows(kv::Reader& reader, std::string begin, std::string end, int64_t most) {
  int64_t count = 0;
  while (count < most) {
    const auto rows = co_await reader.scan({begin, end}, {.limit = 1000, .byte_limit = 4 << 20});
    count += static_cast<int64_t>(rows.size());
    if (rows.empty()) break;
    begin = rows.back().key + '\0';
  }
  co_return std::min(count, most);
}

struct Counts {
  int64_t visible = 0, in_flight = 0, delayed = 0;
};

Task<Counts> count(kv::Reader& reader, const QueueRecord& queue, QueueName name, Time now) {
  Tally all;
  for (const kv::Entry& row : co_await reader.scan(kv::prefix_range(keys::tallies(queue.contents)))) {
    const Tally t = kv::decode<Tally>(row.value);
    all.messages += t.messages, all.delayed += t.delayed, all.handed_out += t.handed_out;
  }
  const Time later{now.micros + 1};
  Counts out;
  if (name.fifo()) {
    // Turns at zero are of groups of which nothing is in flight.
    const std::string from = keys::turns_until(queue.contents, {}), end = kv::prefix_end(keys::turns(queue.contents));
    for (const kv::Entry& row : co_await reader.scan({from, end}, {.limit = kCountScan})) {
      const Turn turn = keys::parse_turn(row.key);
      const auto in_flight = kv::decode<int64_t>(row.value);
      if (turn.ready > now || in_flight == 0) {
        out.in_flight += in_flight;
      } else if (const auto group = co_await reader.get(keys::group(queue.contents, turn.group))) {
        out.in_flight += in_flight_at(kv::decode<Group>(*group), now);
      }
    }
    // Its rows stay until the delay is over and nobody's work needs them any longer.
    out.delayed = co_await count_rows(reader, keys::delayed(queue.contents, later),
                                      kv::prefix_end(keys::delayed(queue.contents)), kCountScan);
  } else {
    const int64_t due = co_await count_rows(reader, keys::in_flight(queue.contents),
                                            keys::in_flight(queue.contents, later), kCountScan);
    out.in_flight = std::max<int64_t>(0, all.handed_out - due);
    if (all.delayed > 0) {
      const int64_t over =
          co_await count_rows(reader, keys::delayed(queue.contents), keys::delayed(queue.contents, later), kCountScan);
      out.delayed = std::max<int64_t>(0, all.delayed - over);
    }
  }
  out.visible = std::max<int64_t>(0, all.messages - out.in_flight - out.delayed);
  co_return out;
}

}  // namespace

Task<void> SqsService::put_queue(kv::Txn& tx, QueueName name, std::optional<QueueRecord> before, QueueRecord after) {
  const std::string was = before ? before->dead_letter_arn : std::string();
  if (was != after.dead_letter_arn) {
    if (const auto old = queue_of_arn(was)) tx.erase(keys::dead_letter_source(*old, name));
    if (const auto target = queue_of_arn(after.dead_letter_arn)) {
      const auto there = co_await find_queue(tx, *target);
      const auto refuse = [&](std::string_view reason) {
        return err::InvalidParameterValueException(
            cat("Value ", after.redrive_policy, " for parameter RedrivePolicy is invalid. Reason: ", reason));
      };
      if (!there && !(*target == name)) co_await fail(refuse("Dead letter target does not exist."));
      if (there && !may_redrive(*there, name)) {
        co_await fail(refuse("Dead letter target doesn't allow this queue as its source."));
      }
      tx.put(keys::dead_letter_source(*target, name), "");
    }
  }
  put(tx, name, after);
}

Task<CreateQueueResult> SqsService::create_queue(Ctx& ctx, const CreateQueueRequest& in) {
  check_queue_name(in.queue_name);
  const QueueName name{ctx.account, ctx.region, in.queue_name};
  const Attributes attributes = in.attributes.value_or(Attributes{});
  QueueRecord fresh;
  fresh.name = in.queue_name;
  fresh.created = fresh.modified = ctx.now();
  fresh.id = random_u64();
  fresh.contents = random_u64();
  if (in.tags) fresh.tags = *in.tags;
  check_tags(fresh.tags);
  apply_attributes(fresh, name, attributes, true);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    if (const auto existing = co_await find_queue(tx, name)) {
      if (const auto different = first_difference(*existing, name, attributes)) {
        co_await fail(err::QueueNameExists(
            cat("A queue already exists with the same name and a different value for attribute ", *different)));
      }
      co_return;
    }
    if (const auto gone = co_await tx.get(keys::deleted(name))) {
      const Time deleted = kv::decode<Time>(*gone);
      if (ctx.now() < deleted + kNameRest && ctx.now() >= deleted) {
        co_await fail(err::QueueDeletedRecently(
            "You must wait 60 seconds after deleting a queue before you can create another with the same name."));
      }
      tx.erase(keys::deleted(name));
    }
    co_await put_queue(tx, name, std::nullopt, fresh);
    co_await deps_.timers.set(tx, sweep_timer(name, fresh, ctx.now()));
  });
  CreateQueueResult out;
  out.queue_url = queue_url(ctx, name);
  co_return out;
}

Task<DeleteQueueOutput> SqsService::delete_queue(Ctx& ctx, const DeleteQueueRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "deletequeue");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteQueueOutput> {
    const auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    if (const auto target = queue_of_arn(queue->dead_letter_arn)) tx.erase(keys::dead_letter_source(*target, name));
    put(tx, name, std::nullopt);
    tx.put(keys::deleted(name), kv::encode(ctx.now()));
    tx.erase_range(kv::prefix_range(keys::buckets(queue->id)));
    tx.erase_range(kv::prefix_range(keys::move_tasks(name)));
    erase_contents(tx, queue->contents);
    const kernel::Timer timer = sweep_timer(name, *queue, ctx.now());
    co_await deps_.timers.clear(tx, timer.kind, timer.id);
    tx.on_commit([this, name] { desks_.wake(name); });  // who waits learns that there is nothing to wait for
    co_return DeleteQueueOutput{};
  });
}

Task<GetQueueUrlResult> SqsService::get_queue_url(Ctx& ctx, const GetQueueUrlRequest& in) {
  const QueueName name{in.queue_owner_aws_account_id.value_or(ctx.account), ctx.region, in.queue_name};
  co_await load(name);
  GetQueueUrlResult out;
  out.queue_url = queue_url(ctx, name);
  co_return out;
}

Task<ListQueuesResult> SqsService::list_queues(Ctx& ctx, const ListQueuesRequest& in) {
  const std::string after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "sqs:ListQueues", in.next_token, bad_token()).value_or("");
  const size_t limit = page_size(in.max_results);
  const std::string all = keys::queues(ctx.account, ctx.region);
  const std::string prefix = all + in.queue_name_prefix.value_or("");
  const std::string from = after.empty() ? prefix : kv::prefix_end(keys::queue({ctx.account, ctx.region, after}));
  const auto snapshot = deps_.db.snapshot();
  const auto rows = co_await snapshot->scan({from, kv::prefix_end(prefix)}, {.limit = limit + 1});
  ListQueuesResult out;
  for (const kv::Entry& row : rows) {
    const QueueRecord queue = kv::decode<QueueRecord>(row.value);
    if (!out.queue_urls) out.queue_urls.emplace();
    if (out.queue_urls->size() == limit) {
      // Without MaxResults AWS answers with one page and no token.
      const std::string& last = out.queue_urls->back();
      if (in.max_results) {
        out.next_token = kernel::seal_page(deps_.tokens, ctx, "sqs:ListQueues", last.substr(last.rfind('/') + 1));
      }
      break;
    }
    out.queue_urls->push_back(queue_url(ctx, {ctx.account, ctx.region, queue.name}));
  }
  co_return out;
}

Task<GetQueueAttributesResult> SqsService::get_queue_attributes(Ctx& ctx, const GetQueueAttributesRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  GetQueueAttributesResult out;
  const std::vector<std::string> wanted = in.attribute_names.value_or(std::vector<std::string>{});
  bool all = false, counts = false;
  for (const std::string& attribute : wanted) {
    if (attribute != "All" && !is_attribute(attribute)) {
      co_return err::InvalidAttributeName(cat("Unknown Attribute ", attribute, "."));
    }
    all |= attribute == "All";
    counts |= attribute.starts_with("Approximate");
  }
  const auto snapshot = deps_.db.snapshot();
  const auto queue = co_await find_queue(*snapshot, name);
  if (!queue) co_return no_queue();
  if (wanted.empty()) co_return out;
  Attributes shown = shown_attributes(*queue, name);
  if (all || counts) {
    const Counts n = co_await count(*snapshot, *queue, name, elapsed_.now());
    shown["ApproximateNumberOfMessages"] = cat(n.visible);
    shown["ApproximateNumberOfMessagesNotVisible"] = cat(n.in_flight);
    shown["ApproximateNumberOfMessagesDelayed"] = cat(n.delayed);
  }
  if (!all) {
    std::erase_if(shown,
                  [&](const auto& attribute) { return std::ranges::find(wanted, attribute.first) == wanted.end(); });
  }
  if (!shown.empty()) out.attributes = std::move(shown);
  co_return out;
}

Task<SetQueueAttributesOutput> SqsService::set_queue_attributes(Ctx& ctx, const SetQueueAttributesRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  require_own(ctx, name, "setqueueattributes");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<SetQueueAttributesOutput> {
    const auto before = co_await find_queue(tx, name);
    if (!before) co_return no_queue();
    QueueRecord after = *before;
    apply_attributes(after, name, in.attributes, false);
    after.modified = ctx.now();
    if (before->retention != after.retention) co_await deps_.timers.set(tx, sweep_timer(name, after, ctx.now()));
    co_await put_queue(tx, name, before, std::move(after));
    tx.on_commit([this, name] { desks_.wake(name); });
    co_return SetQueueAttributesOutput{};
  });
}

Task<PurgeQueueOutput> SqsService::purge_queue(Ctx& ctx, const PurgeQueueRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PurgeQueueOutput> {
    auto queue = co_await find_queue(tx, name);
    if (!queue) co_return no_queue();
    const Time now = ctx.now();
    if (queue->purged.micros != 0 && now >= queue->purged && now < queue->purged + kPurgeInterval) {
      co_return err::PurgeQueueInProgress(
          cat("Only one PurgeQueue operation on ", name.name, " is allowed every 60 seconds."));
    }
    erase_contents(tx, queue->contents);
    tx.erase_range(kv::prefix_range(keys::buckets(queue->id)));
    queue->contents = random_u64();
    queue->purges += 1;
    queue->purged = now;
    put(tx, name, queue);
    co_return PurgeQueueOutput{};
  });
}

Task<ListDeadLetterSourceQueuesResult> SqsService::list_dead_letter_source_queues(
    Ctx& ctx, const ListDeadLetterSourceQueuesRequest& in) {
  const QueueName name = queue_of_url(ctx, in.queue_url);
  const std::string purpose = cat("sqs:ListDeadLetterSourceQueues:", name.arn());
  const std::string after =
      kernel::open_page<std::string>(deps_.tokens, ctx, purpose, in.next_token, bad_token()).value_or("");
  const size_t limit = page_size(in.max_results);
  const auto snapshot = deps_.db.snapshot();
  if (!co_await find_queue(*snapshot, name)) co_return no_queue();
  const std::string prefix = keys::dead_letter_sources(name);
  const std::string from = after.empty() ? prefix : prefix + after + '\0';
  const auto rows = co_await snapshot->scan({from, kv::prefix_end(prefix)}, {.limit = limit + 1});
  ListDeadLetterSourceQueuesResult out;
  std::string last;
  for (const kv::Entry& row : rows) {
    if (out.queue_urls.size() == limit) {
      if (in.max_results) out.next_token = kernel::seal_page(deps_.tokens, ctx, purpose, last);
      break;
    }
    last = row.key.substr(prefix.size());
    kv::KeyReader key(last);
    const std::string account = key.text();
    out.queue_urls.push_back(queue_url(ctx, {account, name.region, key.text()}));
  }
  co_return out;
}

}  // namespace virga::sqs
