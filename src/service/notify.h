#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace trainseal::service {

/// Tells systemd how the service does (sd_notify(3)): a datagram to $NOTIFY_SOCKET; nothing if it is not set.
void notify_systemd(std::string_view state);
/// How often systemd wants to hear `WATCHDOG=1` at least (half of $WATCHDOG_USEC); none if it does not.
std::optional<std::chrono::microseconds> watchdog_interval();

/// The sockets that systemd has opened for this process (sd_listen_fds(3)), by their names
/// ("FileDescriptorName"). The variables are removed, so that no child takes them for its own.
std::map<std::string, UniqueFd> take_inherited_sockets();

}  // namespace trainseal::service
