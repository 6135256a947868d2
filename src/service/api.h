#pragma once

#include <functional>
#include <string>
#include <vector>

#include "service/audit.h"
#include "service/http/server.h"
#include "service/jobs/jobs.h"
#include "service/metrics.h"
#include "service/policy.h"
#include "service/token_desk.h"
#include "service/verbs.h"

namespace trainseal::service {

/// What the requests of both sockets do (docs/openapi.yaml). Thread-safe.
class Api {
 public:
  struct Parts {
    const Policy& policy;
    Jobs& jobs;
    TokenDesk& desk;
    Audit& audit;
    Metrics& metrics;
    std::vector<std::string> common_words;  ///< of every command: settings, station, …
    Confinement everywhere;                 ///< what every job may use: state, settings, trust
    std::string version;
    /// More text for /metrics: what the token's worker counts.
    std::function<void(MetricsText&)> write_token_metrics;
  };
  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  /// Of the clients' socket.
  Response handle(Request& request);
  /// Of the operator's.
  Response handle_admin(Request& request);
  /// A failure as every answer of the service says it.
  static Response failure(std::string_view command, const Error& error, int status);

 private:
  Response look(const std::string& what, const Request& request);
  Response ready() const;
  Response status() const;
  Response key() const;
  Response metrics() const;
  Response audit(const Request& request) const;
  Response job(const std::string& id, const Request& request) const;
  Response call(const Verb& verb, const Request& request);
  Result<JobCall> make_call(const Verb& verb, const Request& request) const;
  Result<Confinement> allow(const Peer& peer, Wanted wanted) const;
  Response administer(const std::string& what, Request& request);
  Response unlock(Request& request);

  const Parts parts_;
};

}  // namespace trainseal::service
