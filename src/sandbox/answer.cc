#include "sandbox/answer.h"

#include <stdexcept>

namespace virga::sandbox {

void AnswerPipe::push(std::string chunk) {
  if (abandoned_ || ended_ || chunk.empty()) return;
  buffered_ += chunk.size();
  chunks_.push_back(std::move(chunk));
  wake();
}

void AnswerPipe::end(std::string why) {
  if (ended_) return;
  ended_ = true;
  room_ = nullptr;
  failure_ = std::move(why);
  wake();
}

void AnswerPipe::wake() {
  if (!waiter_) return;
  const Resume resume = *waiter_;
  waiter_.reset();
  // Whoever fills the pipe is in the middle of its bytes.
  resume.later();
}

class AnswerBody final : public ByteSource {
 public:
  explicit AnswerBody(std::shared_ptr<AnswerPipe> pipe) : pipe_(std::move(pipe)) {}
  ~AnswerBody() override {
    Executor& home = pipe_->home_;
    home.post([pipe = std::move(pipe_)] {
      pipe->abandoned_ = true;
      pipe->chunks_.clear();
      pipe->buffered_ = 0;
      if (pipe->room_) pipe->room_();
    });
  }

  Task<std::optional<std::string>> next() override {
    Executor* const caller = Executor::current();
    co_await move_to(pipe_->home_);
    if (pipe_->chunks_.empty() && !pipe_->ended_) {
      co_await suspend_until([&](Resume resume) { pipe_->waiter_.emplace(resume); });
    }
    std::optional<std::string> out;
    std::string failure;
    if (!pipe_->chunks_.empty()) {
      out = std::move(pipe_->chunks_.front());
      pipe_->chunks_.pop_front();
      pipe_->buffered_ -= out->size();
      if (pipe_->buffered_ <= kMostAnswerBuffered / 2) {
        pipe_->home_.post([pipe = pipe_] {
          if (pipe->room_) pipe->room_();
        });
      }
    } else {
      failure = pipe_->failure_;
    }
    if (caller && caller != &pipe_->home_) co_await move_to(*caller);
    if (!failure.empty()) throw std::runtime_error(failure);
    co_return out;
  }

 private:
  std::shared_ptr<AnswerPipe> pipe_;
};

Body body_of_answer(std::shared_ptr<AnswerPipe> pipe) { return std::make_shared<AnswerBody>(std::move(pipe)); }

}  // namespace virga::sandbox
