#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainseal::service {

/// One entry of the settings `service.allow`: who may have what done with which trains.
struct AllowEntry {
  std::optional<std::string> user;   ///< a name or a number; one of the two is there
  std::optional<std::string> group;  ///< supplementary groups count
  std::vector<std::string> verbs;
  std::vector<std::string> trains;     ///< a name of a train is allowed that lies below one of these
  std::optional<std::string> out;      ///< the folder below which `out` and `results` lie
  std::vector<std::string> overrides;  ///< options that change what is signed, such as "without-record"
};

/// The settings `service` (CONTRACT "Settings").
struct ServiceSettings {
  std::string socket = "/run/trainseal/api.sock";
  std::string admin_socket = "/run/trainseal/admin.sock";
  std::optional<std::string> socket_group;  ///< none: the service's own group
  std::vector<AllowEntry> allow;
  unsigned jobs = 8;           ///< how many run at once
  unsigned queue = 256;        ///< how many wait
  unsigned per_user = 128;     ///< how many of them may be one user's
  unsigned connections = 256;  ///< open at once; one user may have half of them
  std::chrono::seconds job_deadline{3600};
  std::chrono::seconds stop_deadline{60};  ///< for what runs when the service is stopped
};

}  // namespace trainseal::service
