#include "protocol/steps/file_stream.h"

#include "base/file.h"
#include "base/secret.h"

namespace trainseal {

namespace {

constexpr std::size_t kChunkBytes = HashThread::kBufferBytes;
/// Up to this size a file is gathered with its neighbours in the hash's buffers and written without the help
/// of a thread, so that thousands of small files do not cost a hand-over each.
constexpr std::uint64_t kSmallBytes = 64 * 1024;
constexpr std::size_t kSlackBytes = 64;
constexpr std::size_t kOutBytes = kChunkBytes + 2 * kSlackBytes;

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

/// Where one file goes: to the thread that writes, or, for small files, straight to the file, or nowhere.
class FileStream::Output {
 public:
  Output(int file, WriteThread* writer, Bytes& own) : file_(file), writer_(writer), own_(own) {
    if (writer_ != nullptr) writer_->start(file);
  }
  /// The caller closes the file next, also after an error in between.
  ~Output() {
    if (writer_ != nullptr) writer_->stop();
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  bool exists() const { return file_ != kNoOutput; }
  MutableByteView buffer() { return writer_ != nullptr ? writer_->acquire() : MutableByteView(own_); }
  Result<void> done(MutableByteView used) {
    return writer_ != nullptr ? writer_->submit(used) : write_staged(file_, used);
  }
  Result<void> write(ByteView plain) const { return write_staged(file_, plain); }
  Result<void> finish() { return writer_ != nullptr ? writer_->finish() : Result<void>(); }

 private:
  int file_;
  WriteThread* writer_;
  Bytes& own_;
};

FileStream::FileStream(const SymmetricKey* from, const SymmetricKey* to, Progress progress)
    : progress_(std::move(progress)), plain_(kChunkBytes + kSlackBytes) {
  if (from != nullptr) {
    decryptor_.emplace(*from);
    cipher_in_.resize(kChunkBytes);
  }
  if (to != nullptr) {
    encryptor_.emplace(*to);
    cipher_out_.resize(kOutBytes);
  }
}

FileStream::~FileStream() { wipe(plain_); }

Result<FileStream::Outcome> FileStream::pass(FileSource& source, std::uint64_t size_bytes, HashThread* hash,
                                             int file) {
  Sink sink(hash, plain_, size_bytes <= kSmallBytes);
  Output output(file, writer_for(size_bytes, file), cipher_out_);
  if (encryptor_) encryptor_->start();
  Outcome outcome = Outcome::sound;
  if (decryptor_) {
    TRY(outcome, pass_encrypted(source, sink, output));
  } else {
    TRY_DO(pass_plain(source, sink, output));
  }
  if (encryptor_ && output.exists()) {
    const MutableByteView last = output.buffer();
    TRY_DO(output.done(last.first(encryptor_->finish(last))));
  }
  TRY_DO(output.finish());
  return outcome;
}

WriteThread* FileStream::writer_for(std::uint64_t size_bytes, int file) {
  if (file == kNoOutput || size_bytes <= kSmallBytes || !encryptor_) return nullptr;
  if (!writer_) writer_ = std::make_unique<WriteThread>(kOutBytes);
  return writer_.get();
}

Result<FileStream::Outcome> FileStream::pass_encrypted(FileSource& source, Sink& sink, Output& output) {
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

Result<void> FileStream::pass_plain(FileSource& source, Sink& sink, Output& output) {
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

Result<void> FileStream::put(ByteView plain, Output& output) {
  if (!output.exists() || plain.empty()) return {};
  if (!encryptor_) return output.write(plain);
  const MutableByteView buffer = output.buffer();
  return output.done(buffer.first(encryptor_->update(plain, buffer)));
}

}  // namespace trainseal
