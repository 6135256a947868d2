#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"
#include "token/info.h"
#include "token/uri.h"

namespace trainseal {

/// The longest message between a program and its token worker, in bytes. A private key on its way into a
/// token is the longest (64 KiB); lists come as one message an entry.
inline constexpr std::size_t kMaxMessageBytes = std::size_t{96} * 1024;

/// What a program asks its token worker for. This is the whole of it: no raw RSA, no bytes to be signed.
enum class WorkerCall : std::uint8_t {
  open,     ///< the first message: which module
  connect,  ///< brings a socket for one more call at a time
  tokens,
  token,
  info,
  log_in,
  log_out,
  keys,
  key,
  public_key,
  probe,
  claimed_mechanisms,
  generate_key,
  import_key,
  delete_key,
  unwrap,
  sign_pss,
  sign_pkcs1,
};

/// How a message of the worker is to be read.
enum class ReplyKind : std::uint8_t {
  done,
  failed,   ///< an `Error` follows
  item,     ///< one entry of a list; more messages follow
  working,  ///< the token has answered and is asked for more; the deadline counts from here
};

// The last value of each enumeration that is sent: what is above it is no message of ours.
constexpr WorkerCall last_of(WorkerCall) { return WorkerCall::sign_pkcs1; }
constexpr ReplyKind last_of(ReplyKind) { return ReplyKind::working; }
constexpr ErrorCode last_of(ErrorCode) { return ErrorCode::timeout; }
constexpr TrialOutcome last_of(TrialOutcome) { return TrialOutcome::refused; }
constexpr PssSalt last_of(PssSalt) { return PssSalt::statement; }
constexpr KeyPath last_of(KeyPath) { return KeyPath::raw; }

/// The fields of what is sent, in the order in which they are sent.
template <typename T, typename Whole>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Whole>;

template <MaybeConst<TokenInfo> T>
auto fields(T& info) {
  return std::tie(info.label, info.manufacturer, info.model, info.serial, info.firmware, info.slot_id,
                  info.slot_description, info.slot_manufacturer, info.library_description,
                  info.library_manufacturer, info.library_version, info.hardware, info.initialized,
                  info.login_required, info.write_protected, info.pin_pad, info.pin_set, info.pin_count_low,
                  info.pin_final_try, info.pin_locked, info.pin_to_be_changed, info.least_pin_bytes,
                  info.most_pin_bytes, info.sessions, info.rw_sessions);
}
template <MaybeConst<SessionCount> T>
auto fields(T& count) {
  return std::tie(count.most, count.open);
}
template <MaybeConst<ClaimedMechanism> T>
auto fields(T& mechanism) {
  return std::tie(mechanism.name, mechanism.least_bits, mechanism.most_bits, mechanism.in_hardware,
                  mechanism.decrypts, mechanism.signs, mechanism.generates);
}
template <MaybeConst<KeyInfo> T>
auto fields(T& key) {
  return std::tie(key.uri, key.label, key.id, key.public_key, key.unusable, key.sensitive, key.extractable,
                  key.always_sensitive, key.never_extractable, key.local, key.always_authenticate,
                  key.may_decrypt, key.may_sign);
}
template <MaybeConst<KeyName> T>
auto fields(T& name) {
  return std::tie(name.label, name.id);
}
template <MaybeConst<OperationTrial> T>
auto fields(T& trial) {
  return std::tie(trial.outcome, trial.reason);
}
template <MaybeConst<KeyTrial> T>
auto fields(T& trial) {
  return std::tie(trial.unwrap, trial.sign_protocol, trial.sign_statement, trial.sign_pkcs1);
}
template <MaybeConst<Error> T>
auto fields(T& error) {
  return std::tie(error.code, error.what, error.hint, error.detail, error.subject);
}

/// Writes a message into a buffer, field after field. Both ends are on one machine and of one build, so that
/// numbers are as the machine has them.
class Encoder {
 public:
  explicit Encoder(MutableByteView buffer) : buffer_(buffer) {}

  template <typename... Values>
  Encoder& put(const Values&... values) {
    (put_one(values), ...);
    return *this;
  }
  /// False if the message is longer than the buffer: it must not be sent.
  bool fits() const { return fits_; }
  std::size_t size() const { return size_; }

 private:
  template <typename T>
  void put_one(const T& value) {
    if constexpr (std::is_enum_v<T>)
      put_one(static_cast<std::uint8_t>(value));
    else if constexpr (std::integral<T>)
      append({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
    else
      std::apply([this](const auto&... parts) { put(parts...); }, fields(value));
  }
  template <typename T>
  void put_one(const std::optional<T>& value) {
    put_one(value.has_value());
    if (value) put_one(*value);
  }
  void put_one(ByteView bytes);
  void put_one(const Bytes& bytes) { put_one(ByteView(bytes)); }
  void put_one(const std::string& text) { put_one(as_bytes(text)); }
  void put_one(const SecretBytes& secret) { put_one(secret.expose()); }
  void put_one(const Digest512& digest) { put_one(digest.hex()); }
  void put_one(const PublicKey& key) { put(key.modulus(), key.exponent()); }
  void put_one(const Uri& uri) { put_one(uri.str()); }
  void append(ByteView bytes);

  MutableByteView buffer_;
  std::size_t size_ = 0;
  bool fits_ = true;
};

/// Reads a message, field after field. What does not fit makes everything after it empty, and `complete`
/// false.
class Decoder {
 public:
  explicit Decoder(ByteView message) : rest_(message) {}

  template <typename... Values>
  Decoder& get(Values&... values) {
    (get_one(values), ...);
    return *this;
  }
  /// True if every field was there and well formed, and nothing is left over.
  bool complete() const { return sound_ && rest_.empty(); }

 private:
  template <typename T>
  void get_one(T& value) {
    if constexpr (std::is_enum_v<T>) {
      std::uint8_t number = 0;
      get_one(number);
      if (number > static_cast<std::uint8_t>(last_of(value))) return spoil();
      value = static_cast<T>(number);
    } else if constexpr (std::same_as<T, bool>) {
      std::uint8_t number = 0;
      get_one(number);
      if (number > 1) return spoil();
      value = number == 1;
    } else if constexpr (std::integral<T>) {
      const ByteView bytes = take(sizeof value);
      if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    } else {
      std::apply([this](auto&... parts) { get(parts...); }, fields(value));
    }
  }
  template <typename T>
  void get_one(std::optional<T>& value) {
    bool present = false;
    get_one(present);
    value.reset();
    if (present) get_one(value.emplace());
  }
  void get_one(std::optional<PublicKey>& key);
  void get_one(std::optional<Digest512>& digest);
  void get_one(ByteView& bytes);
  void get_one(Bytes& bytes);
  void get_one(std::string& text);
  void get_one(SecretBytes& secret);
  void get_one(Uri& uri);
  ByteView take(std::size_t size);
  void spoil();

  ByteView rest_;
  bool sound_ = true;
};

}  // namespace trainseal
