#include "interposer/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/text.h"
#include "interposer/names.h"

namespace interposer {

using trainseal::text;

void write_down(const std::string& line) {
  const char* path = std::getenv("TRAINSEAL_INTERPOSE_LOG");
  if (path == nullptr) return;
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  // One write a line, so that processes and threads do not mix theirs.
  if (::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
}

CK_ULONG refused_pins() {
  const char* path = std::getenv("TRAINSEAL_INTERPOSE_LOG");
  std::ifstream in(path != nullptr ? path : "");
  CK_ULONG refused = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.find(" C_Login ") == line.npos || line.find(" user=CKU_USER ") == line.npos) continue;
    if (line.find(" rv=CKR_PIN_INCORRECT") != line.npos) ++refused;
    if (line.find(" rv=CKR_OK") != line.npos) refused = 0;
  }
  return refused;
}

std::string Operations::Begun::text() const {
  if (!mechanism) return " mechanism=none";
  return trainseal::text(" mechanism=", name_of(mechanisms(), *mechanism),
                         salt ? trainseal::text(" salt=", *salt) : "");
}

Operations::Begun Operations::of(const CK_MECHANISM* used) {
  Begun begun;
  if (used == nullptr) return begun;
  begun.mechanism = used->mechanism;
  if (used->mechanism == CKM_RSA_PKCS_PSS && used->ulParameterLen == sizeof(CK_RSA_PKCS_PSS_PARAMS))
    begun.salt = static_cast<const CK_RSA_PKCS_PSS_PARAMS*>(used->pParameter)->sLen;
  return begun;
}

Operations::Begun Operations::begin(CK_SESSION_HANDLE session, const CK_MECHANISM* used) {
  const std::scoped_lock lock(mutex_);
  return begun_[session] = of(used);
}

Operations::Begun Operations::under_way(CK_SESSION_HANDLE session) {
  const std::scoped_lock lock(mutex_);
  return begun_[session];
}

void Sessions::opened(CK_SESSION_HANDLE session) {
  const std::scoped_lock lock(mutex_);
  open_.insert(session);
}

void Sessions::closed(CK_SESSION_HANDLE session) {
  const std::scoped_lock lock(mutex_);
  open_.erase(session);
}

void Sessions::all_closed() {
  const std::scoped_lock lock(mutex_);
  open_.clear();
}

CK_ULONG Sessions::count() {
  const std::scoped_lock lock(mutex_);
  return open_.size();
}

}  // namespace interposer
