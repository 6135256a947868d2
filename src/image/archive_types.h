#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>

// libarchive's objects, for this folder's sources only.

namespace trainseal::libarchive {

struct Free {
  void operator()(archive* a) const { archive_free(a); }
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Archive = std::unique_ptr<archive, Free>;
using Entry = std::unique_ptr<archive_entry, Free>;

/// What libarchive says of its last failure; never null.
inline const char* reason(archive* a) {
  const char* const told = archive_error_string(a);
  return told != nullptr ? told : "it cannot be read";
}

}  // namespace trainseal::libarchive
