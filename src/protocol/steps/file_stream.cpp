#include "protocol/steps/file_stream.h"

#include <array>

#include "base/file.h"
#include "base/secret.h"

namespace trainseal {

namespace {

constexpr std::size_t kChunkBytes = HashThread::kBufferBytes;
/// Up to this size a file is gathered with its neighbours in the hash's buffers, so that thousands of small
/// files do not cost a hand-over each.
constexpr std::uint64_t kSmallBytes = 64 * 1024;
constexpr std::size_t kSlackBytes = 64;

}  // namespace

/// Where plaintext goes on its way to the hash: into a buffer of the hash's thread, or, for small files,
/// through our own.
class FileStream::Sink {
 public:
  Sink(HashThread* hash, Bytes& own, bool small)
      : hash_(hash), own_(own), direct_(hash != nullptr && !small) {}

  MutableByteView buffer() { return direct_ ? hash_->acquire() : MutableByteView(own_); }
  void done(ByteView used) {
    if (direct_) {
      hash_->submit(used.size());
    } else if (hash_ != nullptr) {
      hash_->update(used);
    }
  }

 private:
  HashThread* hash_;
  Bytes& own_;
  bool direct_;
};

FileStream::FileStream(const SymmetricKey* from, const SymmetricKey* to, Progress progress)
    : progress_(std::move(progress)), plain_(kChunkBytes + kSlackBytes) {
  if (from != nullptr) {
    decryptor_.emplace(*from);
    cipher_in_.resize(kChunkBytes);
  }
  if (to != nullptr) {
    encryptor_.emplace(*to);
    cipher_out_.resize(kChunkBytes + 2 * kSlackBytes);
  }
}

FileStream::~FileStream() { wipe(plain_); }

Result<FileStream::Outcome> FileStream::pass(FileSource& source, std::uint64_t size_bytes, HashThread* hash,
                                             int output) {
  Sink sink(hash, plain_, size_bytes <= kSmallBytes);
  if (encryptor_) encryptor_->start();
  Outcome outcome = Outcome::sound;
  if (decryptor_) {
    TRY(outcome, pass_encrypted(source, sink, output));
  } else {
    TRY_DO(pass_plain(source, sink, output));
  }
  if (encryptor_ && output != kNoOutput) {
    const std::size_t written = encryptor_->finish(cipher_out_);
    TRY_DO(write_all(output, ByteView(cipher_out_).first(written), "the staging folder",
                     ErrorCode::store_failed));
  }
  return outcome;
}

Result<FileStream::Outcome> FileStream::pass_encrypted(FileSource& source, Sink& sink, int output) {
  decryptor_->start();
  while (true) {
    TRY(const std::size_t count, read(source, cipher_in_));
    const MutableByteView plain = sink.buffer();
    if (count == 0) {
      const auto last = decryptor_->finish(plain);
      const ByteView tail = plain.first(last.value_or(0));
      TRY_DO(put(tail, output));
      sink.done(tail);
      return last ? Outcome::sound : Outcome::undecryptable;
    }
    const ByteView done = plain.first(decryptor_->update(ByteView(cipher_in_).first(count), plain));
    TRY_DO(put(done, output));
    sink.done(done);
  }
}

Result<void> FileStream::pass_plain(FileSource& source, Sink& sink, int output) {
  while (true) {
    const MutableByteView buffer = sink.buffer().first(kChunkBytes);
    TRY(const std::size_t count, read(source, buffer));
    TRY_DO(put(buffer.first(count), output));
    sink.done(buffer.first(count));
    if (count == 0) return {};
  }
}

Result<std::size_t> FileStream::read(FileSource& source, MutableByteView into) {
  TRY(const std::size_t count, source.read(into));
  bytes_ += count;
  progress_(bytes_);
  return count;
}

Result<void> FileStream::put(ByteView plain, int output) {
  if (output == kNoOutput || plain.empty()) return {};
  ByteView bytes = plain;
  if (encryptor_) bytes = ByteView(cipher_out_).first(encryptor_->update(plain, cipher_out_));
  return write_all(output, bytes, "the staging folder", ErrorCode::store_failed);
}

}  // namespace trainseal
