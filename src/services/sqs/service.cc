#include "services/sqs/service.h"

#include <aws/sqs/errors.h>
#include <aws/sqs/model.h>

#include "base/str.h"
#include "kv/record.h"
#include "services/sqs/api.h"
#include "services/sqs/limits.h"
#include "services/sqs/settings.h"
#include "wire/protocol.h"

namespace virga::sqs {

Error no_queue() { return err::QueueDoesNotExist("The specified queue does not exist."); }

void require_own(const Ctx& ctx, const QueueName& queue, std::string_view operation) {
  if (ctx.principal.account == queue.account) return;
  throw wire::door::access_denied(
      kModel, cat("User: ", ctx.principal.arn, " is not authorized to perform: sqs:", operation,
                  " on resource: ", queue.arn(), " because the operation is not allowed across accounts"));
}

namespace {

template <class In>
std::string by_url(const Ctx& ctx, const In& in) {
  return queue_of_url(ctx, in.queue_url).arn();
}
std::string by_name(const Ctx& ctx, const CreateQueueRequest& in) {
  return QueueName{ctx.account, ctx.region, in.queue_name}.arn();
}
std::string by_owner(const Ctx& ctx, const GetQueueUrlRequest& in) {
  return QueueName{in.queue_owner_aws_account_id.value_or(ctx.account), ctx.region, in.queue_name}.arn();
}

// Whoever starts a move must be allowed what it does.
std::vector<kernel::Access> move_accesses(const Ctx&, const StartMessageMoveTaskRequest& in) {
  std::vector<kernel::Access> all;
  for (const char* action :
       {"sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}) {
    all.push_back({action, in.source_arn, {}});
  }
  if (in.destination_arn) all.push_back({"sqs:SendMessage", *in.destination_arn, {}});
  return all;
}

}  // namespace

SendMessageRequest request_of(const QueueName& name, kernel::TargetInput input) {
  SendMessageRequest request;
  request.queue_url = cat('/', name.account, '/', name.name);
  request.message_body = std::move(input.body);
  for (auto& [attribute_name, attribute] : input.attributes) {
    MessageAttributeValue value;
    const bool binary = split_once(attribute.type, '.').first == "Binary";
    value.data_type = std::move(attribute.type);
    (binary ? value.binary_value : value.string_value) = std::move(attribute.value);
    if (!request.message_attributes) request.message_attributes.emplace();
    request.message_attributes->emplace(attribute_name, std::move(value));
  }
  if (!input.group.empty()) request.message_group_id = std::move(input.group);
  if (!input.deduplication.empty()) request.message_deduplication_id = std::move(input.deduplication);
  if (!input.trace.empty()) {
    MessageSystemAttributeValue trace;
    trace.data_type = "String";
    trace.string_value = std::move(input.trace);
    request.message_system_attributes.emplace().emplace("AWSTraceHeader", std::move(trace));
  }
  return request;
}

Post& post_of(kernel::Service& sqs) { return static_cast<SqsService&>(sqs); }

SqsService::SqsService(kernel::Deps& deps, const kernel::ElapsedClock* elapsed)
    : deps_(deps), unmoved_(deps.clock), elapsed_(elapsed ? *elapsed : unmoved_), desks_(deps.db, elapsed_) {
  // An event for a queue's ARN is a message, sent by whoever delivers it as far as the queue's policy lets them.
  deps_.cloud.accept(
      "sqs", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) -> Task<std::string> {
        Ctx there = ctx;
        there.region = target.region;
        SendMessageRequest request = request_of({target.account, target.region, target.resource}, std::move(input));
        const SendMessageResult sent = co_await deps_.cloud.call<op::SendMessage>(there, std::move(request));
        co_return sent.message_id.value_or("");
      });
  deps_.timers.on("sqs.retention", [this](kernel::Timer timer) { return sweep(std::move(timer)); });
  deps_.timers.on("sqs.move", [this](kernel::Timer timer) { return move(std::move(timer)); });
}

const wire::ServiceModel& SqsService::model() const { return kModel; }

void SqsService::operations(kernel::OpTable& t) {
  t.add<op::CreateQueue>(this, &SqsService::create_queue).resource(by_name);
  t.add<op::DeleteQueue>(this, &SqsService::delete_queue).resource(by_url<DeleteQueueRequest>).guarded();
  t.add<op::GetQueueUrl>(this, &SqsService::get_queue_url).resource(by_owner).guarded();
  t.add<op::ListQueues>(this, &SqsService::list_queues);
  t.add<op::GetQueueAttributes>(this, &SqsService::get_queue_attributes)
      .resource(by_url<GetQueueAttributesRequest>)
      .guarded();
  t.add<op::SetQueueAttributes>(this, &SqsService::set_queue_attributes)
      .resource(by_url<SetQueueAttributesRequest>)
      .guarded();
  t.add<op::PurgeQueue>(this, &SqsService::purge_queue).resource(by_url<PurgeQueueRequest>).guarded();
  t.add<op::ListDeadLetterSourceQueues>(this, &SqsService::list_dead_letter_source_queues)
      .resource(by_url<ListDeadLetterSourceQueuesRequest>)
      .guarded();
  t.add<op::TagQueue>(this, &SqsService::tag_queue).resource(by_url<TagQueueRequest>).guarded();
  t.add<op::UntagQueue>(this, &SqsService::untag_queue).resource(by_url<UntagQueueRequest>).guarded();
  t.add<op::ListQueueTags>(this, &SqsService::list_queue_tags).resource(by_url<ListQueueTagsRequest>).guarded();
  t.add<op::AddPermission>(this, &SqsService::add_permission).resource(by_url<AddPermissionRequest>).guarded();
  t.add<op::RemovePermission>(this, &SqsService::remove_permission).resource(by_url<RemovePermissionRequest>).guarded();
  t.add<op::StartMessageMoveTask>(this, &SqsService::start_message_move_task).access(move_accesses).guarded();
  t.add<op::ListMessageMoveTasks>(this, &SqsService::list_message_move_tasks)
      .resource([](const Ctx&, const ListMessageMoveTasksRequest& in) { return in.source_arn; })
      .guarded();
  t.add<op::CancelMessageMoveTask>(this, &SqsService::cancel_message_move_task)
      .resource([](const Ctx&, const CancelMessageMoveTaskRequest& in) { return source_of_task(in.task_handle); })
      .guarded();
  t.add<op::SendMessage>(this, &SqsService::send_message).resource(by_url<SendMessageRequest>).guarded().data_plane();
  t.add<op::SendMessageBatch>(this, &SqsService::send_message_batch)
      .action("sqs:SendMessage")
      .resource(by_url<SendMessageBatchRequest>)
      .guarded()
      .data_plane();
  t.add<op::ReceiveMessage>(this, &SqsService::receive_message)
      .resource(by_url<ReceiveMessageRequest>)
      .guarded()
      .data_plane();
  t.add<op::DeleteMessage>(this, &SqsService::delete_message)
      .resource(by_url<DeleteMessageRequest>)
      .guarded()
      .data_plane();
  t.add<op::DeleteMessageBatch>(this, &SqsService::delete_message_batch)
      .action("sqs:DeleteMessage")
      .resource(by_url<DeleteMessageBatchRequest>)
      .guarded()
      .data_plane();
  t.add<op::ChangeMessageVisibility>(this, &SqsService::change_message_visibility)
      .resource(by_url<ChangeMessageVisibilityRequest>)
      .guarded()
      .data_plane();
  t.add<op::ChangeMessageVisibilityBatch>(this, &SqsService::change_message_visibility_batch)
      .action("sqs:ChangeMessageVisibility")
      .resource(by_url<ChangeMessageVisibilityBatchRequest>)
      .guarded()
      .data_plane();
}

Task<void> SqsService::stop() {
  desks_.stop();
  co_return;
}

Task<std::optional<std::string>> SqsService::resource_policy(Ctx&, std::string resource) {
  const auto name = queue_of_arn(resource);
  if (!name) co_return std::nullopt;
  const QueuePtr queue = co_await find(*name);
  if (!queue || queue->policy.empty()) co_return std::nullopt;
  co_return queue->policy;
}

SqsService::QueuePtr SqsService::known(std::string row) {
  auto record = kv::decode<QueueRecord>(row);
  return std::make_shared<const KnownQueue>(std::move(record), std::move(row));
}

Task<SqsService::QueuePtr> SqsService::find(QueueName name) {
  const std::string key = keys::queue(name);
  uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) co_return known->second;
    generation = generation_;
  }
  auto row = co_await deps_.db.snapshot()->get(key);
  if (!row) co_return nullptr;
  const QueuePtr found = known(std::move(*row));
  std::lock_guard lock(mutex_);
  if (known_.size() >= kMostKnown) known_.clear();
  if (generation == generation_) known_[key] = found;
  co_return found;
}

Task<SqsService::QueuePtr> SqsService::find(kv::Txn& tx, QueueName name) {
  auto row = co_await tx.get(keys::queue(name));
  if (!row) co_return nullptr;
  const QueuePtr queue = co_await find(std::move(name));
  if (queue && queue->stored == *row) co_return queue;
  co_return known(std::move(*row));
}

Task<SqsService::QueuePtr> SqsService::load(QueueName name) {
  QueuePtr queue = co_await find(std::move(name));
  if (!queue) co_return no_queue();
  co_return queue;
}

void SqsService::put(kv::Txn& tx, const QueueName& name, const std::optional<QueueRecord>& queue) {
  std::string key = keys::queue(name);
  queue ? tx.put(key, kv::encode(*queue)) : tx.erase(key);
  tx.on_commit([this, key = std::move(key)] {
    std::lock_guard lock(mutex_);
    ++generation_;
    known_.erase(key);
  });
}

void end_waiting(kernel::Service& sqs) { static_cast<SqsService&>(sqs).end_waiting(); }
void end_waiting(kernel::Service& sqs, std::string_view queue_arn, std::string_view request_id) {
  if (const auto queue = queue_of_arn(queue_arn)) static_cast<SqsService&>(sqs).end_waiting(*queue, request_id);
}

std::unique_ptr<kernel::Service> make_sqs(kernel::Deps& deps, const kernel::ElapsedClock* elapsed) {
  return std::make_unique<SqsService>(deps, elapsed);
}

}  // namespace virga::sqs
