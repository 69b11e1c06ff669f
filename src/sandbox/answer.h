// A streamed answer between the instance, which fills it at its home, and the caller, who takes it anywhere.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/source.h"

namespace virga::sandbox {

inline constexpr size_t kMostAnswerBuffered = 1 << 20;  // then the function has to wait

// At home only.
class AnswerPipe {
 public:
  // `room`: the caller has taken enough, or given up; bytes may flow again.
  AnswerPipe(Executor& home, std::function<void()> room) : home_(home), room_(std::move(room)) {}
  void push(std::string chunk);
  // The end; a failure when `why` is not empty.
  void end(std::string why);
  bool full() const { return buffered_ > kMostAnswerBuffered; }

 private:
  friend class AnswerBody;
  void wake();

  Executor& home_;
  std::function<void()> room_;
  std::deque<std::string> chunks_;
  size_t buffered_ = 0;
  bool ended_ = false;
  bool abandoned_ = false;  // the caller gave up: the function goes on into nothing
  std::string failure_;
  std::optional<Resume> waiter_;
};

Body body_of_answer(std::shared_ptr<AnswerPipe> pipe);

}  // namespace virga::sandbox
