#include "token/worker/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace trainseal {
namespace {

/// Room for one descriptor beside a message.
union Passage {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

msghdr message_header(iovec& content, Passage& passage) {
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = &passage;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // with the padding there would be room for two
  return message;
}

UniqueFd passenger_of(msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

/// True if something can be read before the deadline, or the other end is gone.
bool is_ready_until(int fd, Link::Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int timeout_ms = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready > 0) return true;
    if (ready == 0 && timeout_ms == 0) return false;
    if (ready < 0 && errno != EINTR) return true;  // the read says what is wrong
  }
}

}  // namespace

std::optional<std::pair<Link, Link>> Link::pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return std::nullopt;
  return std::pair(Link(UniqueFd(ends[0])), Link(UniqueFd(ends[1])));
}

bool Link::send(ByteView message, int passenger) const {
  // What is sent is not written to, whatever iovec's type says.
  iovec content{const_cast<std::uint8_t*>(message.data()), message.size()};  // NOLINT(*-const-cast)
  Passage passage{};
  msghdr header = message_header(content, passage);
  if (passenger < 0) {
    header.msg_control = nullptr;
    header.msg_controllen = 0;
  } else {
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof passenger);
    std::memcpy(CMSG_DATA(control), &passenger, sizeof passenger);
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(message.size());
}

Link::Received Link::receive(MutableByteView buffer, std::optional<Deadline> deadline) const {
  if (deadline && !is_ready_until(socket_.get(), *deadline)) return {Arrival::nothing_in_time, {}, {}};
  iovec content{buffer.data(), buffer.size()};
  Passage passage{};
  msghdr header = message_header(content, passage);
  ssize_t got = 0;
  do got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return {};
  UniqueFd passenger = passenger_of(header);
  if ((header.msg_flags & MSG_TRUNC) != 0) return {};
  return {Arrival::message, buffer.first(static_cast<std::size_t>(got)), std::move(passenger)};
}

}  // namespace trainseal
