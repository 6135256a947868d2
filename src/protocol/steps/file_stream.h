#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hash_thread.h"
#include "crypto/symmetric.h"
#include "protocol/steps/write_thread.h"
#include "store/train_view.h"

namespace trainseal {

/// One file's way through a station, in one pass: read → decrypt under `from` → hash → encrypt under `to` →
/// write. Each of the middle steps is there if it is asked for. Hashing, on the very bytes that are ciphered,
/// and writing what was encrypted have threads of their own. What was decrypted needs none: decrypting takes
/// a fraction of the hash's time, and there is no further copy of the plaintext.
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

  /// Passes one file of about `size_bytes`; `hash` may be null, `file` is a descriptor or `kNoOutput`. A
  /// file that does not decrypt is read, hashed and written all the same, so that a failure takes the same
  /// work (PROTOCOL §5.6). Errors are the store's. When it returns, nothing writes to `file` any more.
  Result<Outcome> pass(FileSource& source, std::uint64_t size_bytes, HashThread* hash, int file);

  /// Everything read so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  class Sink;
  class Output;
  Result<std::size_t> read(FileSource& source, MutableByteView into);
  Result<void> put(ByteView plain, Output& output);
  Result<Outcome> pass_encrypted(FileSource& source, Sink& sink, Output& output);
  Result<void> pass_plain(FileSource& source, Sink& sink, Output& output);
  WriteThread* writer_for(std::uint64_t size_bytes, int file);

  std::optional<CbcDecryptor> decryptor_;
  std::optional<CbcEncryptor> encryptor_;
  Progress progress_;
  Bytes cipher_in_;
  Bytes cipher_out_;
  Bytes plain_;
  std::unique_ptr<WriteThread> writer_;  ///< once there was a large file
  std::uint64_t bytes_ = 0;
};

}  // namespace trainseal
