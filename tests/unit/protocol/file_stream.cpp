#include "protocol/steps/file_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"
#include "fixtures/scratch_folder.h"

using namespace trainseal;
using trainseal::test::ScratchFolder;

namespace {

constexpr std::size_t kChunk = HashThread::kBufferBytes;
constexpr std::size_t kLarge = 9 * kChunk + 5;
constexpr std::size_t kSmall = 1000;

Bytes counted(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + (i >> 8) * 17);
  return bytes;
}

/// A file in memory.
class Memory final : public FileSource {
 public:
  explicit Memory(ByteView bytes) : bytes_(bytes) {}
  /// Fails once `bytes` are read, and calls `failing` first.
  Memory(ByteView bytes, std::function<void()> failing) : bytes_(bytes), failing_(std::move(failing)) {}

  Result<std::size_t> read(MutableByteView buffer) override {
    if (failing_ && done_ == bytes_.size()) {
      failing_();
      return fail(ErrorCode::results_unstable, "the file has changed");
    }
    const auto part = bytes_.subspan(done_).first(std::min(buffer.size(), bytes_.size() - done_));
    std::ranges::copy(part, buffer.begin());
    done_ += part.size();
    return part.size();
  }
  std::size_t done() const { return done_; }

 private:
  ByteView bytes_;
  std::function<void()> failing_;
  std::size_t done_ = 0;
};

struct Files {
  UniqueFd make(const std::string& name) const {
    return UniqueFd(open((scratch.path() / name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  }
  Bytes content(const std::string& name) const {
    return read_file(scratch.path() / name, std::uint64_t{1} << 30, ErrorCode::internal).value();
  }
  ScratchFolder scratch;
};

FileStream stream(const SymmetricKey* from, const SymmetricKey* to) {
  return {from, to, [](std::uint64_t) {}};
}

std::string code(const Result<FileStream::Outcome>& result) {
  return result ? "success" : std::string(name(result.error().code));
}

}  // namespace

TEST_CASE("files of any size are encrypted and come back, with the same hash") {
  const Files files;
  const auto key = SymmetricKey::generate();
  auto sealing = stream(nullptr, &key);
  auto opening = stream(&key, nullptr);
  HashThread sealed_hash;
  HashThread opened_hash;
  Sha512 expected;
  std::size_t number = 0;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kSmall, std::size_t{64 * 1024}, std::size_t{64 * 1024 + 1},
        kChunk - 1, kChunk, kChunk + 1, kLarge, kSmall}) {
    const auto plain = counted(size);
    const auto sealed_name = "sealed-" + std::to_string(number);
    const auto opened_name = "opened-" + std::to_string(number++);
    Memory source(plain);
    CHECK(sealing.pass(source, size, &sealed_hash, files.make(sealed_name).get()) ==
          FileStream::Outcome::sound);
    const auto sealed = files.content(sealed_name);
    CHECK(sealed.size() == encrypted_bytes(size));
    Memory sealed_source(sealed);
    CHECK(opening.pass(sealed_source, sealed.size(), &opened_hash, files.make(opened_name).get()) ==
          FileStream::Outcome::sound);
    CHECK((files.content(opened_name) == plain));
    expected.update(plain);
  }
  const auto digest = std::move(expected).finish();
  CHECK(sealed_hash.finish({}) == digest);
  CHECK(opened_hash.finish({}) == digest);
}

TEST_CASE("a disk that is full or fails is told by the pass that met it, without reading on to the end") {
  const auto key = SymmetricKey::generate();
  const auto large = counted(40 * kChunk);
  for (const bool encrypts : {true, false}) {
    auto passing = stream(nullptr, encrypts ? &key : nullptr);
    HashThread hash;
    // Met in between, at the end, and without a thread that writes.
    for (const std::size_t size : {large.size(), kChunk / 2, kSmall}) {
      const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
      Memory source(ByteView(large).first(size));
      CHECK(code(passing.pass(source, size, &hash, full.get())) == "no_space");
      CHECK(source.done() <= 10 * kChunk);

      const UniqueFd unwritable(open("/dev/null", O_RDONLY | O_CLOEXEC));
      Memory again(ByteView(large).first(size));
      CHECK(code(passing.pass(again, size, &hash, unwritable.get())) == "store_failed");
    }
  }
}

TEST_CASE("a stream goes on with the next file after an error, and mixes nothing up") {
  const Files files;
  const auto key = SymmetricKey::generate();
  const auto plain = counted(kLarge);
  auto sealing = stream(nullptr, &key);
  const auto pass_to = [&](Memory source, UniqueFd file) {
    return code(sealing.pass(source, plain.size(), nullptr, file.get()));
  };

  // A pipe: when reading fails, the thread that writes still waits with its first piece, others behind it.
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const UniqueFd front(ends[0]);
  std::promise<void> failing;
  const std::jthread reader([&] {
    failing.get_future().wait();
    Bytes part(kChunk);
    while (read(front.get(), part.data(), part.size()) > 0) continue;
  });
  Memory broken(ByteView(plain).first(4 * kChunk), [&] { failing.set_value(); });
  CHECK(pass_to(std::move(broken), UniqueFd(ends[1])) == "results_unstable");
  CHECK(pass_to(Memory(plain), files.make("whole")) == "success");
  CHECK(pass_to(Memory(plain), UniqueFd(open("/dev/full", O_WRONLY | O_CLOEXEC))) == "no_space");
  CHECK(pass_to(Memory(plain), files.make("whole too")) == "success");

  auto opening = stream(&key, nullptr);
  for (const std::string name : {"whole", "whole too"}) {
    const auto sealed = files.content(name);
    Memory source(sealed);
    CHECK(opening.pass(source, sealed.size(), nullptr, files.make("opened " + name).get()) ==
          FileStream::Outcome::sound);
    CHECK((files.content("opened " + name) == plain));
  }
}
