#include "service/jobs/runner.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>

#include "base/text.h"
#include "service/jobs/confinement.h"
#include "service/jobs/lent_keys.h"

namespace trainseal::service {
namespace {

constexpr auto kBetweenProgress = std::chrono::milliseconds(200);

/// Tells the service.
class TellingNews final : public JobNews {
 public:
  explicit TellingNews(JobLink& link) : link_(link) {}

  void step(const StepNews& news) override {
    link_.tell(JobMessage::step, [&](Encoder& message) { message.put(news); });
  }
  void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) override {
    const auto now = std::chrono::steady_clock::now();
    if (now - told_ < kBetweenProgress) return;
    told_ = now;
    link_.tell(JobMessage::progress, [&](Encoder& message) { message.put(done_bytes, total_bytes); });
  }
  void warning(const std::string& sentence) override {
    link_.tell(JobMessage::warning, [&](Encoder& message) { message.put(sentence); });
  }

 private:
  JobLink& link_;
  std::chrono::steady_clock::time_point told_ = std::chrono::steady_clock::now();
};

void send_text(JobLink& link, AnswerText which, ByteView rest) {
  while (!rest.empty()) {
    const ByteView part = rest.first(std::min(rest.size(), kPartBytes));
    link.tell(JobMessage::part, [&](Encoder& message) { message.put(which, part); });
    rest = rest.subspan(part.size());
  }
}

void send_answer(JobLink& link, const JobAnswer& answer) {
  send_text(link, AnswerText::json, as_bytes(answer.json));
  send_text(link, AnswerText::text, as_bytes(answer.text));
  send_text(link, AnswerText::complaint, as_bytes(answer.complaint));
  link.tell(JobMessage::answer,
            [&](Encoder& message) { message.put(static_cast<std::uint32_t>(answer.status)); });
}

/// Ends this process together with its parent, also if that has ended already.
void end_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
}

/// A job's process, from its fork to its end. An exit without an answer is told as such by the service.
[[noreturn]] void be_job(UniqueFd socket, const RunJob& run, pid_t runner) {
  end_with_parent(runner);
  ::signal(SIGCHLD, SIG_DFL);
  JobLink link{Link(std::move(socket))};
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  link.tell(JobMessage::started, [](Encoder&) {}, self.get());
  const auto order = link.receive_order();
  if (!order) ::_exit(1);
  TellingNews news(link);
  if (auto confined = confine(order->confinement); !confined) {
    link.tell(JobMessage::warning, [&](Encoder& message) { message.put(confined.error().what); });
    ::_exit(1);
  }
  LentKeys keys(link);
  send_answer(link, run(*order, keys, news));
  // Nothing of the runner's is torn down twice.
  ::_exit(0);
}

}  // namespace

void serve_jobs(UniqueFd control, const RunJob& run) {
  end_with_parent(::getppid());
  ::signal(SIGCHLD, SIG_IGN);  // nobody waits for jobs: their sockets say how they ended
  const Link link(std::move(control));
  const pid_t runner = ::getpid();
  std::array<std::uint8_t, 1> nothing{};
  while (true) {
    auto received = link.receive(nothing);
    if (received.arrival != Link::Arrival::message) ::_exit(0);
    if (!received.passenger) continue;
    const pid_t job = ::fork();
    if (job == 0) be_job(std::move(received.passenger), run, runner);
    // A fork that failed closes the job's socket, and so it is told.
  }
}

}  // namespace trainseal::service
