#pragma once

#include <aws/sqs/ops.h>
#include <aws/sqs/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kernel/timers.h"
#include "services/sqs/api.h"
#include "services/sqs/desk.h"
#include "services/sqs/store.h"

namespace virga::sqs {

using kernel::Ctx;

class SqsService final : public kernel::Service, public Post {
 public:
  explicit SqsService(kernel::Deps& deps, const kernel::ElapsedClock* elapsed = nullptr);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> stop() override;
  void end_waiting() { desks_.stop(); }
  void end_waiting(const QueueName& queue, std::string_view request) { desks_.stop(queue, request); }
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;
  // ops_message.cc
  Task<void> post(Ctx& ctx, kv::Txn& tx, std::string queue_arn, const Opening& opening,
                  kernel::TargetInput input) override;

 private:
  // ops_queue.cc
  Task<CreateQueueResult> create_queue(Ctx& ctx, const CreateQueueRequest& in);
  Task<DeleteQueueOutput> delete_queue(Ctx& ctx, const DeleteQueueRequest& in);
  Task<GetQueueUrlResult> get_queue_url(Ctx& ctx, const GetQueueUrlRequest& in);
  Task<ListQueuesResult> list_queues(Ctx& ctx, const ListQueuesRequest& in);
  Task<GetQueueAttributesResult> get_queue_attributes(Ctx& ctx, const GetQueueAttributesRequest& in);
  Task<SetQueueAttributesOutput> set_queue_attributes(Ctx& ctx, const SetQueueAttributesRequest& in);
  Task<PurgeQueueOutput> purge_queue(Ctx& ctx, const PurgeQueueRequest& in);
  Task<ListDeadLetterSourceQueuesResult> list_dead_letter_source_queues(Ctx& ctx,
                                                                        const ListDeadLetterSourceQueuesRequest& in);
  // Writes the queue's row and what goes with its redrive policy; fails when that names a queue it may not.
  Task<void> put_queue(kv::Txn& tx, QueueName name, std::optional<QueueRecord> before, QueueRecord after);

  // ops_access.cc: tags and permissions
  Task<TagQueueOutput> tag_queue(Ctx& ctx, const TagQueueRequest& in);
  Task<UntagQueueOutput> untag_queue(Ctx& ctx, const UntagQueueRequest& in);
  Task<ListQueueTagsResult> list_queue_tags(Ctx& ctx, const ListQueueTagsRequest& in);
  Task<AddPermissionOutput> add_permission(Ctx& ctx, const AddPermissionRequest& in);
  Task<RemovePermissionOutput> remove_permission(Ctx& ctx, const RemovePermissionRequest& in);

  // ops_message.cc
  Task<SendMessageResult> send_message(Ctx& ctx, const SendMessageRequest& in);
  Task<SendMessageBatchResult> send_message_batch(Ctx& ctx, const SendMessageBatchRequest& in);
  Task<ReceiveMessageResult> receive_message(Ctx& ctx, const ReceiveMessageRequest& in);
  Task<DeleteMessageOutput> delete_message(Ctx& ctx, const DeleteMessageRequest& in);
  Task<DeleteMessageBatchResult> delete_message_batch(Ctx& ctx, const DeleteMessageBatchRequest& in);
  Task<ChangeMessageVisibilityOutput> change_message_visibility(Ctx& ctx, const ChangeMessageVisibilityRequest& in);
  Task<ChangeMessageVisibilityBatchResult> change_message_visibility_batch(
      Ctx& ctx, const ChangeMessageVisibilityBatchRequest& in);

  // ops_move.cc
  Task<StartMessageMoveTaskResult> start_message_move_task(Ctx& ctx, const StartMessageMoveTaskRequest& in);
  Task<ListMessageMoveTasksResult> list_message_move_tasks(Ctx& ctx, const ListMessageMoveTasksRequest& in);
  Task<CancelMessageMoveTaskResult> cancel_message_move_task(Ctx& ctx, const CancelMessageMoveTaskRequest& in);
  Task<void> move(kernel::Timer timer);

  // loops.cc
  Task<void> sweep(kernel::Timer timer);

  // The queue as it now is: kept in memory until a commit changes it, since every call about its messages asks. Null:
  // there is none.
  struct KnownQueue : QueueRecord {
    std::string stored;  // its row
  };
  using QueuePtr = std::shared_ptr<const KnownQueue>;
  Task<QueuePtr> find(QueueName name);
  // As `tx` sees it, and relies on it. Decoded only when it is not what is known.
  Task<QueuePtr> find(kv::Txn& tx, QueueName name);
  static QueuePtr known(std::string row);
  // The same; fails with QueueDoesNotExist.
  Task<QueuePtr> load(QueueName name);
  // Writes or, without a record, erases the queue's row.
  void put(kv::Txn& tx, const QueueName& name, const std::optional<QueueRecord>& queue);

  kernel::Deps& deps_;
  const kernel::ElapsedClock unmoved_;
  const kernel::ElapsedClock& elapsed_;
  Desks desks_;
  std::mutex mutex_;
  std::map<std::string, QueuePtr, std::less<>> known_;  // by key
  uint64_t generation_ = 0;                             // of the last change to any queue
};

// The source queue's ARN that a move task's handle names; "*" when it is no handle.
std::string source_of_task(std::string_view handle);
Error no_queue();
// An event for the queue `name` as the request that sends it.
SendMessageRequest request_of(const QueueName& name, kernel::TargetInput input);
// The timer that drops what is past a queue's retention.
kernel::Timer sweep_timer(const QueueName& name, const QueueRecord& queue, Time now);
// Refuses what AWS lets nobody of another account do, whatever the queue's policy says.
void require_own(const Ctx& ctx, const QueueName& queue, std::string_view operation);

}  // namespace virga::sqs
