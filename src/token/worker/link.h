#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"

namespace trainseal {

/// One end of a socket pair between a program and its token worker: each message arrives whole, or not at
/// all.
class Link {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit Link(UniqueFd socket) : socket_(std::move(socket)) {}
  /// Both ends; nothing if the system has no more descriptors.
  static std::optional<std::pair<Link, Link>> pair();

  /// Sends `message`, and with it `passenger` if that is a descriptor (not negative). False if the other end
  /// is gone.
  bool send(ByteView message, int passenger = -1) const;

  enum class Arrival : std::uint8_t { message, nothing_in_time, closed };
  struct Received {
    Arrival arrival = Arrival::closed;
    ByteView message;    ///< a part of the buffer
    UniqueFd passenger;  ///< what came with the message
  };
  /// Waits for the next message, without end if there is no deadline. A message that is longer than `buffer`
  /// is no message of ours: `closed`.
  Received receive(MutableByteView buffer, std::optional<Deadline> deadline = {}) const;

  int fd() const { return socket_.get(); }
  /// The descriptor itself, for a child or a passenger.
  UniqueFd take() && { return std::move(socket_); }

 private:
  UniqueFd socket_;
};

}  // namespace trainseal
