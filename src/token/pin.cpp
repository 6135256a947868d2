#include "token/pin.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace trainseal {
namespace {

// Room for a PIN and its line feed, and one byte more to notice that there is more.
constexpr std::size_t kReadBytes = Pin::kMaxBytes + 3;

// Ends a line on the terminal when typed; with ISIG off it cannot kill us while the echo is off.
constexpr cc_t kCtrlC = 3;

constexpr std::string_view kInode = " inode ";

constexpr const char* kCancelled = "cancelled";

std::string ways_to_give_a_pin() {
  return "give it by --pin-file FILE, by pin-source=file:/PATH in the key's URI, by the systemd credential "
         "trainseal.pin, or "
         "by token.pin_file in the settings (install -m 600 /dev/null FILE, then write it in); with "
         "PRIVATE_KEY_PATH "
         "as a pkcs11: URI, PRIVATE_KEY_PASSWORD will do";
}

Result<SecretBytes> read_secret(int fd, std::string_view source) {
  SecretBytes bytes(kReadBytes);
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.expose_for_writing().data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(
          system_error(ErrorCode::pin_missing, "read the PIN from", std::string(source), errno, "read"));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.shrink(size);
  return bytes;
}

Result<ObtainedPin> from_source(SecretBytes bytes, std::string source, std::string marker,
                                std::string warning) {
  auto pin = Pin::take(std::move(bytes));
  if (!pin) {
    Error error = std::move(pin).error();
    error.what = text(source, ": ", error.what);
    return fail(std::move(error));
  }
  return ObtainedPin{*std::move(pin), std::move(source), std::move(marker), std::move(warning)};
}

/// What a file's PIN is known by: another file of that name, or another content, has another marker.
std::string file_marker(const std::filesystem::path& path, const struct stat& status) {
  return text(path.native(), kInode, status.st_ino, " mtime ", status.st_mtim.tv_sec, '.',
              status.st_mtim.tv_nsec);
}

class FilePin final : public PinSource {
 public:
  enum class Kind : std::uint8_t { file, credential };
  FilePin(std::filesystem::path path, Kind kind) : path_(std::move(path)), kind_(kind) {}

  Result<ObtainedPin> obtain(std::string_view) override {
    const std::string source = text("the file ", path_.native());
    // Not blocking, so that a pipe put in the file's place cannot hold the program up.
    const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
      Error error = system_error(ErrorCode::pin_missing, "open the PIN file", path_, errno, "open");
      error.hint = ways_to_give_a_pin();
      return fail(std::move(error));
    }
    TRY_DO(check(status));
    TRY(SecretBytes bytes, read_secret(fd.get(), path_.native()));
    return from_source(std::move(bytes), source, marker(status), warning(status));
  }

 private:
  Result<void> check(const struct stat& status) const {
    if (!S_ISREG(status.st_mode))
      return fail(ErrorCode::pin_missing, text("the PIN file ", path_.native(), " is not a regular file"));
    const std::string hint = text("let it belong to the user of this program: chmod 600 ", path_.native());
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
      return fail(
          ErrorCode::pin_missing,
          text("the PIN file ", path_.native(), " belongs to another user, who could lock the token with it"),
          hint);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
      return fail(ErrorCode::pin_missing,
                  text("the PIN file ", path_.native(),
                       " can be written by others, who could lock the token with it"),
                  hint);
    return {};
  }

  std::string marker(const struct stat& status) const {
    return kind_ == Kind::credential ? path_.filename().native() : file_marker(path_, status);
  }

  std::string warning(const struct stat& status) const {
    if ((status.st_mode & S_IROTH) == 0) return {};
    return text("everybody on this machine can read the PIN file ", path_.native(), ": chmod 600 it");
  }

  std::filesystem::path path_;
  Kind kind_;
};

class EnvironmentPin final : public PinSource {
 public:
  EnvironmentPin(std::string name, SecretBytes value) : name_(std::move(name)), value_(std::move(value)) {}
  Result<ObtainedPin> obtain(std::string_view) override {
    const std::string source = text("the environment variable ", name_);
    return from_source(
        SecretBytes::copy_of(value_.expose()), source, source,
        text("the PIN comes from ", source, ", which child processes and crash reports see: prefer a file"));
  }

 private:
  std::string name_;
  SecretBytes value_;
};

/// Switches the echo of a terminal off for as long as it lives.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag = (quiet.c_lflag & ~static_cast<tcflag_t>(ECHO | ISIG)) | ICANON | ECHONL;
    quiet.c_cc[VEOL] = kCtrlC;
    works_ = ::tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
  }
  ~QuietTerminal() {
    if (works_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  bool works() const { return works_; }

 private:
  int fd_;
  bool works_ = false;
  termios before_{};
};

class TerminalPin final : public PinSource {
 public:
  Result<ObtainedPin> obtain(std::string_view token_label) override {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!terminal)
      return fail(ErrorCode::pin_missing, text("no PIN was given for the token ", quoted(token_label)),
                  ways_to_give_a_pin(), "open /dev/tty");
    const QuietTerminal quiet(terminal.get());
    if (!quiet.works())
      return fail(ErrorCode::pin_missing, "the terminal's echo cannot be switched off to ask for the PIN",
                  ways_to_give_a_pin(), "tcsetattr");
    TRY_DO(write_all(terminal.get(),
                     as_bytes(text("PIN of the token ", quoted(printable(token_label)), ": ")), "/dev/tty",
                     ErrorCode::pin_missing));
    SecretBytes line(kReadBytes);
    ssize_t got = -1;
    do got = ::read(terminal.get(), line.expose_for_writing().data(), line.size());
    while (got < 0 && errno == EINTR);
    line.shrink(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (line.empty() || line.expose().back() == kCtrlC)
      return fail(ErrorCode::pin_missing, "the question for the PIN was cancelled", {}, kCancelled);
    return from_source(std::move(line), "the terminal", {}, {});
  }
};

}  // namespace

bool changes_can_be_seen(const std::string& marker) { return marker.find(kInode) != std::string::npos; }

std::optional<std::string> source_of_marker(const std::string& marker) {
  const auto inode = marker.rfind(kInode);
  if (inode == std::string::npos) return marker;
  const std::filesystem::path path = marker.substr(0, inode);
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 || !marker.starts_with(file_marker(path, status)))
    return std::nullopt;
  return text("the file ", path.native());
}

bool is_cancelled(const Error& error) {
  return error.code == ErrorCode::pin_missing && error.detail == kCancelled;
}

Result<Pin> Pin::take(SecretBytes bytes) {
  std::size_t size = bytes.size();
  const ByteView all = bytes.expose();
  if (size > 0 && all[size - 1] == '\n') --size;
  if (size > 0 && size < all.size() && all[size - 1] == '\r') --size;
  bytes.shrink(size);
  if (size == 0) return fail(ErrorCode::pin_missing, "the PIN is empty");
  if (size > kMaxBytes)
    return fail(ErrorCode::pin_missing, text("the PIN is longer than ", kMaxBytes, " bytes"));
  if (std::ranges::any_of(bytes.expose(), [](std::uint8_t b) { return b == 0 || b == '\n' || b == '\r'; }))
    return fail(ErrorCode::pin_missing, "the PIN holds a line break or a zero byte",
                "a PIN is one line of text and nothing else");
  return Pin(std::move(bytes));
}

std::unique_ptr<PinSource> pin_from_file(std::filesystem::path path) {
  return std::make_unique<FilePin>(std::move(path), FilePin::Kind::file);
}

std::unique_ptr<PinSource> pin_from_credential(const std::filesystem::path& credentials_folder) {
  return std::make_unique<FilePin>(credentials_folder / "trainseal.pin", FilePin::Kind::credential);
}

std::unique_ptr<PinSource> pin_from_environment(std::string name, SecretBytes value) {
  return std::make_unique<EnvironmentPin>(std::move(name), std::move(value));
}

std::unique_ptr<PinSource> pin_from_terminal() { return std::make_unique<TerminalPin>(); }

}  // namespace trainseal
