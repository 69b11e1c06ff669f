// Moving messages from one queue to another inside a transaction of the first.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "kv/db.h"
#include "services/sqs/desk.h"
#include "services/sqs/store.h"

namespace virga::sqs {

// Adds messages to another queue than the one whose worker owns the transaction.
class Transfer {
 public:
  Transfer(kv::Txn& tx, const Work& work, const QueueRecord& from, Time now)
      : tx_(tx), work_(work), from_(from), now_(now) {}
  // False when there is no such queue, or it is of the other type.
  Task<bool> add(QueueName to, StoredMessage message);

 private:
  Task<std::optional<QueueRecord>> find(const QueueName& name);

  kv::Txn& tx_;
  const Work& work_;
  const QueueRecord& from_;
  const Time now_;
  std::map<std::string, std::optional<QueueRecord>> queues_;
};

// Takes messages that were received too often to where the queue's redrive policy says.
class DeadLetters {
 public:
  DeadLetters(kv::Txn& tx, const Work& work, const QueueRecord& queue, Time now)
      : transfer_(tx, work, queue, now), queue_(queue), source_(work.queue) {}
  // True when the message is there now; its rows here are the caller's to erase.
  Task<bool> take(const StoredMessage& message, int64_t receives, Time first_received);

 private:
  Transfer transfer_;
  const QueueRecord& queue_;
  const QueueName& source_;
};

// Moves messages on behalf of a MoveTask, and keeps its count.
class Moves {
 public:
  Moves(kv::Txn& tx, const Work& work, const QueueRecord& queue, Time now) : tx_(tx), transfer_(tx, work, queue, now) {}
  // Loads the task; false when it isn't running any more.
  Task<bool> begin(ReceiveJob& job);
  // True when the message is where the task wants it; its rows here are the caller's to erase.
  Task<bool> take(ReceiveJob& job, StoredMessage message);
  void finish(const ReceiveJob& job);

 private:
  kv::Txn& tx_;
  Transfer transfer_;
  MoveTask task_;
};

// fifo.cc: appends to a FIFO queue; answers its sequence.
Task<uint64_t> append_fifo(kv::Txn& tx, const QueueRecord& queue, Tally& tally, std::string group, std::string bytes,
                           Time due, Time now);

}  // namespace virga::sqs
