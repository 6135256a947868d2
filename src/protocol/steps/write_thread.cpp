#include "protocol/steps/write_thread.h"

#include "base/file.h"

namespace trainseal {

Result<void> write_staged(int file, ByteView bytes) {
  return write_all(file, bytes, "the staging folder", ErrorCode::store_failed);
}

WriteThread::WriteThread(std::size_t buffer_bytes)
    : thread_(kBuffers, buffer_bytes, [this](ByteView bytes) { write(bytes); }) {}

void WriteThread::start(int file) {
  file_ = file;
  result_ = {};
  has_failed_ = false;
}

Result<void> WriteThread::submit(MutableByteView filled) {
  thread_.hand_over(filled);
  if (has_failed_) return finish();
  return {};
}

Result<void> WriteThread::finish() {
  thread_.drain();
  return result_;
}

void WriteThread::write(ByteView bytes) {
  if (has_failed_) return;
  result_ = write_staged(file_, bytes);
  has_failed_ = !result_;
}

}  // namespace trainseal
