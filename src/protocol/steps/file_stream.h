#pragma once

#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash_thread.h"
#include "crypto/symmetric.h"
#include "store/train_view.h"

namespace trainseal {

/// One file's way through a station, in one pass: read → decrypt under `from` → hash → encrypt under `to` →
/// write. Each of the middle steps is there if it is asked for. The hash runs on its own thread, on the very
/// bytes that are ciphered.
class FileStream {
 public:
  using Progress = std::function<void(std::uint64_t read_bytes)>;

  /// `from` and `to` may be null; they outlive the stream.
  FileStream(const SymmetricKey* from, const SymmetricKey* to, Progress progress);
  ~FileStream();
  FileStream(const FileStream&) = delete;
  FileStream& operator=(const FileStream&) = delete;

  static constexpr int kNoOutput = -1;

  /// What became of one file.
  enum class Outcome : std::uint8_t { sound, undecryptable };

  /// Passes one file of about `size_bytes`; `hash` may be null, `output` is a descriptor or `kNoOutput`. A
  /// file that does not decrypt is read, hashed and written all the same, so that a failure takes the same
  /// work (PROTOCOL §5.6). Errors are the store's.
  Result<Outcome> pass(FileSource& source, std::uint64_t size_bytes, HashThread* hash, int output);

  /// Everything read so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  class Sink;
  Result<std::size_t> read(FileSource& source, MutableByteView into);
  Result<void> put(ByteView plain, int output);
  Result<Outcome> pass_encrypted(FileSource& source, Sink& sink, int output);
  Result<void> pass_plain(FileSource& source, Sink& sink, int output);

  std::optional<CbcDecryptor> decryptor_;
  std::optional<CbcEncryptor> encryptor_;
  Progress progress_;
  Bytes cipher_in_;
  Bytes cipher_out_;
  Bytes plain_;
  std::uint64_t bytes_ = 0;
};

}  // namespace trainseal
