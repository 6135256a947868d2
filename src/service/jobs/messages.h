#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "token/worker/message.h"

namespace trainseal::service {

/// What a job says to the service, over a `Link`. The calls for the key are the whole of what a job can ask
/// of the token: a digest of the protocol's, never bytes, never another key.
enum class JobMessage : std::uint8_t {
  started,   ///< the first; brings a pidfd of the job
  step,      ///< name, begins or ended, ok, milliseconds, bytes
  progress,  ///< bytes done, bytes in all
  warning,
  key_for,   ///< public key → `KeyReply`
  unwrap,    ///< wrapped key → AES key
  sign_pss,  ///< digest, salt → signature
  answer,    ///< the exit status; `part`s came before
  part,      ///< the next bytes of the answer's JSON, text or complaint
};
constexpr JobMessage last_of(JobMessage) { return JobMessage::part; }

/// Which of the answer's texts a `part` belongs to.
enum class AnswerText : std::uint8_t { json, text, complaint };
constexpr AnswerText last_of(AnswerText) { return AnswerText::complaint; }

/// The longest message, in bytes; longer texts are sent in parts.
inline constexpr std::size_t kMaxJobMessageBytes = std::size_t{64} << 10;
inline constexpr std::size_t kPartBytes = std::size_t{32} << 10;

/// What of the file system a job may use, besides what every program needs.
struct Confinement {
  std::vector<std::string> writable{};  ///< folders that it may change
  std::vector<std::string> readable{};
  bool network = false;   ///< sockets, for engines and registries
  bool programs = false;  ///< may run programs of the system (skopeo)
};

/// What a job is to do, its first message.
struct JobOrder {
  std::vector<std::string> words;  ///< the call, without the program's name
  Confinement confinement;
  bool share = false;  ///< what is released can be read by the folder's group
};

void put(Encoder& encoder, const JobOrder& order);
void get(Decoder& decoder, JobOrder& order);

/// One step of a job as it is told.
struct StepNews {
  std::string name;
  bool ended = false;
  bool ok = false;
  std::optional<std::uint64_t> ms;
  std::optional<std::uint64_t> bytes;
};
template <MaybeConst<StepNews> T>
auto fields(T& step) {
  return std::tie(step.name, step.ended, step.ok, step.ms, step.bytes);
}

/// The answer of a job.
struct JobAnswer {
  int status = 1;         ///< the exit status of the command (CONTRACT "Output")
  std::string json;       ///< one object, without a line feed
  std::string text;       ///< for people: what goes to standard output
  std::string complaint;  ///< and to standard error
};

}  // namespace trainseal::service
