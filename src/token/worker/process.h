#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "token/worker/link.h"
#include "token/worker/message.h"

namespace trainseal {

/// What a token worker is started with. The worker is the program itself, in another process.
struct WorkerSettings {
  std::filesystem::path program{};  ///< the executable that understands `kWorkerCommand`
  std::filesystem::path module{};   ///< absolute
  std::string backend{};            ///< "cryptoki" or "libp11"
  std::string init_args{};
  bool serialize = false;
  std::uint32_t sessions = 8;
  std::chrono::milliseconds deadline{10'000};  ///< for one operation of the token
  std::filesystem::path trials_folder{};       ///< the state folder that keeps trials; empty: none does
  bool show_module_output = false;             ///< what the module prints goes to standard error
};

template <MaybeConst<WorkerSettings> T>
auto settings_fields(T& settings) {
  return std::tie(settings.backend, settings.init_args, settings.serialize, settings.sessions);
}

/// The argument with which the program becomes a worker, on descriptor `kChildFd`.
inline constexpr const char* kWorkerCommand = "token-worker";

/// Why a call to a worker brought nothing.
struct CallFailure {
  enum class Kind : std::uint8_t {
    answered,   ///< the worker lives, and this is its answer
    ended,      ///< the worker ended during the call, which may be another call's fault
    timed_out,  ///< the worker did not answer and was killed
  };
  Kind kind = Kind::answered;
  Error error;
};
using CallResult = std::expected<void, CallFailure>;

/// One process in which a PKCS#11 module is loaded, and the sockets to it. Thread-safe: as many calls at a
/// time as the settings have sessions; further ones wait. A call that hears nothing until its deadline kills
/// the process; so does the end of this object, after a short time for the log-out.
class WorkerProcess {
 public:
  /// Starts the process and has it load the module. `token_unavailable` if it does not start, does not load
  /// or does not answer.
  static Result<std::shared_ptr<WorkerProcess>> start(const WorkerSettings& settings);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  using Write = std::function<void(Encoder&)>;
  /// Reads the fields of a reply; whether all were there is asked of the decoder afterwards.
  using Read = std::function<void(Decoder&)>;
  struct Call {
    WorkerCall what;
    std::chrono::milliseconds deadline;  ///< for each operation of the token that the call needs
    Write write = [](Encoder&) {};
    Read read = [](Decoder&) {};
    Read read_item = {};  ///< for lists
  };
  CallResult call(const Call& call);

  /// False once the process has ended or was killed.
  bool alive() const { return alive_; }
  /// Tells this process from all others that this program has started.
  std::uint64_t number() const { return number_; }

 private:
  /// A socket, and a locked buffer for what goes both ways.
  struct Connection {
    Link link;
    SecretBytes buffer{kMaxMessageBytes};
  };

  WorkerProcess(WorkerSettings settings, pid_t pid, Link control);
  Result<void> load_module();
  std::expected<std::unique_ptr<Connection>, CallFailure> lease(Link::Deadline deadline);
  std::unique_ptr<Connection> connect();
  void give_back(std::unique_ptr<Connection> connection);
  CallResult exchange(const Link& link, MutableByteView buffer, const Call& call);
  CallResult read_reply(Decoder& decoder, ReplyKind kind, const Call& call);
  std::unexpected<CallFailure> ended();
  std::unexpected<CallFailure> timed_out(std::chrono::milliseconds deadline);
  void kill();
  std::string how_it_ended();

  const WorkerSettings settings_;
  const pid_t pid_;
  const std::uint64_t number_;
  const Link control_;
  std::atomic<bool> alive_ = true;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::size_t connections_ = 0;
  std::string how_it_ended_;  ///< empty while nobody has waited for the process
};

}  // namespace trainseal
