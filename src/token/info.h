#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "crypto/rsa.h"
#include "token/token_key.h"

namespace trainseal {

/// How many sessions of one kind a token has. What it does not say is absent.
struct SessionCount {
  std::optional<std::uint64_t> most;  ///< 0: no limit
  std::optional<std::uint64_t> open;  ///< of all programs, as far as the token knows of them
};

/// What a token, its slot and its module say about themselves. The texts are the token's own: `printable`
/// before a person sees them.
struct TokenInfo {
  std::string label;
  std::string manufacturer;
  std::string model;
  std::string serial;
  std::string hardware;  ///< "1.0"
  std::string firmware;  ///< "2.6"
  std::uint64_t slot_id = 0;
  std::string slot_description;
  std::string slot_manufacturer;
  std::string library_description;
  std::string library_manufacturer;
  std::string library_version;  ///< "2.6"

  bool initialized = false;
  bool login_required = false;
  bool write_protected = false;
  bool pin_pad = false;        ///< the PIN is typed at the token itself and never sent to it
  bool pin_set = false;        ///< there is a user PIN
  bool pin_count_low = false;  ///< a wrong PIN was given since the last right one
  bool pin_final_try = false;  ///< one more wrong PIN locks the token
  bool pin_locked = false;
  bool pin_to_be_changed = false;
  std::uint64_t least_pin_bytes = 0;
  std::uint64_t most_pin_bytes = 0;

  SessionCount sessions;
  SessionCount rw_sessions;  ///< those of them that may write
};

/// A private key on a token, as it can be shown: nothing of its private part is ever asked for. An attribute
/// that the token does not answer is absent.
struct KeyInfo {
  std::string uri;    ///< RFC 7512, with token, serial, id and object
  std::string label;  ///< CKA_LABEL
  Bytes id;           ///< CKA_ID
  std::optional<PublicKey> public_key;
  std::string
      unusable;  ///< why trains cannot use the key, e.g. "not an RSA key"; empty where there is a public key
  std::optional<bool> sensitive;
  std::optional<bool> extractable;
  std::optional<bool> always_sensitive;
  std::optional<bool> never_extractable;
  std::optional<bool> local;                ///< made on the token; NSS says no for keys that it made
  std::optional<bool> always_authenticate;  ///< wants the PIN at each use
  std::optional<bool> may_decrypt;          ///< CKA_DECRYPT
  std::optional<bool> may_sign;             ///< CKA_SIGN
};

/// What a token says of one of its RSA mechanisms. Tokens say wrong things here, so that nothing is decided
/// by it (TOKENS.md rule 5): it is shown beside what was measured.
struct ClaimedMechanism {
  std::string name;              ///< "CKM_RSA_PKCS_PSS"
  std::uint64_t least_bits = 0;  ///< of the modulus; some tokens count in bytes
  std::uint64_t most_bits = 0;
  bool in_hardware = false;
  bool decrypts = false;
  bool signs = false;
  bool generates = false;
};

/// What a new key is called.
struct KeyName {
  std::string label;
  Bytes id;  ///< 16 random bytes are taken if empty
};

/// The private-key operations that a token may do in different ways.
enum class KeyOperation : std::uint8_t { unwrap, sign_protocol, sign_statement, sign_pkcs1 };

/// How an operation went when it was tried (TOKENS.md rule 5).
enum class TrialOutcome : std::uint8_t {
  untried,
  native,   ///< the token does it with its own padding
  raw,      ///< raw RSA on the token with the padding done here
  refused,  ///< neither
};

struct OperationTrial {
  TrialOutcome outcome = TrialOutcome::untried;
  std::string reason;  ///< why it is not native, e.g. "C_DecryptInit CKM_RSA_PKCS_OAEP: CKR_ARGUMENTS_BAD"
};

/// What the trial of a key has shown for each operation.
struct KeyTrial {
  OperationTrial unwrap;
  OperationTrial sign_protocol;
  OperationTrial sign_statement;
  OperationTrial sign_pkcs1;

  OperationTrial& of(KeyOperation operation);
  /// True if the key can unwrap and sign as the protocol needs it.
  bool can_run_trains() const;
};

/// "unwrap", "sign with the protocol's salt", "sign with the statement's salt", "sign PKCS#1 v1.5".
std::string_view name(KeyOperation operation);
/// "untried", "native", "raw" or "refused".
std::string_view name(TrialOutcome outcome);

}  // namespace trainseal
