#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "interposer/rules.h"
#include "pkcs11/cryptoki.h"

namespace interposer {

/// Appends a line to the file TRAINSEAL_INTERPOSE_LOG, if there is one.
void write_down(const std::string& line);

/// Refused user PINs since the last right one, as the file tells: over all processes that write it.
CK_ULONG refused_pins();

/// The mechanism that each session's operation was begun with, for what is said about C_Sign and C_Decrypt.
class Operations {
 public:
  struct Begun {
    std::optional<CK_MECHANISM_TYPE> mechanism;
    std::optional<CK_ULONG> salt;
    std::string text() const;
  };
  static Begun of(const CK_MECHANISM* used);
  Begun begin(CK_SESSION_HANDLE session, const CK_MECHANISM* used);
  Begun under_way(CK_SESSION_HANDLE session);

 private:
  std::mutex mutex_;
  std::map<CK_SESSION_HANDLE, Begun> begun_;
};

/// The sessions that this process has open.
class Sessions {
 public:
  void opened(CK_SESSION_HANDLE session);
  void closed(CK_SESSION_HANDLE session);
  void all_closed();
  CK_ULONG count();

 private:
  std::mutex mutex_;
  std::set<CK_SESSION_HANDLE> open_;
};

}  // namespace interposer
