#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/secret.h"
#include "service/jobs/messages.h"
#include "token/keyring.h"
#include "token/worker/link.h"

namespace trainseal::service {

/// The job's end of its socket. Thread-safe.
class JobLink {
 public:
  using Write = std::function<void(Encoder&)>;
  using Read = std::function<void(Decoder&)>;

  explicit JobLink(Link link) : link_(std::move(link)) {}

  /// The order, if one comes.
  std::optional<JobOrder> receive_order();
  /// Says something. Nobody may be listening any more.
  void tell(JobMessage what, const Write& write, int passenger = -1);
  /// Asks something: the service's error, or `service_unavailable` if it is gone.
  Result<void> ask(JobMessage what, const Write& write, const Read& read);

 private:
  std::mutex mutex_;
  Link link_;
  SecretBytes buffer_{kMaxJobMessageBytes};
};

/// The station's key as a job has it: each use is a message to the service, which lends it for what the
/// job's command needs and no more (`denied`).
class LentKeys final : public Keyring {
 public:
  explicit LentKeys(JobLink& link) : link_(link) {}
  Result<TokenKey*> key_for(const PublicKey& wanted) override;
  /// No job needs it: `internal`.
  Result<TokenKey*> only_key() override;

 private:
  JobLink& link_;
  std::vector<std::unique_ptr<TokenKey>> keys_;
};

}  // namespace trainseal::service
