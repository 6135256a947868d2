#include "service/service.h"

#include <csignal>
#include <ctime>
#include <optional>

#include "base/text.h"
#include "service/api.h"
#include "service/jobs/confinement.h"
#include "service/listen.h"
#include "service/notify.h"

namespace trainseal::service {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kLinesForAHead = 1000;
constexpr auto kTimeForAHead = std::chrono::minutes(10);
constexpr auto kLongestLook = std::chrono::minutes(2);  ///< a token's look has deadlines of its own
constexpr const char* kSocketName = "trainseal";
constexpr const char* kAdminSocketName = "trainseal-admin";

/// SIGTERM and SIGINT, blocked in all threads, waited for in one.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  bool wait(std::chrono::milliseconds time) const {
    const timespec timeout{time.count() / 1000, (time.count() % 1000) * 1'000'000};
    return sigtimedwait(&signals_, nullptr, &timeout) > 0;
  }

 private:
  sigset_t signals_{};
};

struct Sockets {
  SocketFile clients, admin;
};

Result<Sockets> open_sockets(const ServiceSettings& settings) {
  auto inherited = take_inherited_sockets();
  std::optional<UniqueFd> admin;
  std::optional<UniqueFd> clients;
  for (auto& [name, fd] : inherited) {
    if (name != kAdminSocketName && name != kSocketName)
      return fail(
          ErrorCode::settings_invalid, text("the service was given a socket called ", quoted(name)),
          "FileDescriptorName= has to be trainseal in the one socket unit, trainseal-admin in the other");
    (name == kAdminSocketName ? admin : clients) = std::move(fd);
  }
  TRY(auto for_clients, clients ? Result<SocketFile>(SocketFile::inherited(*std::move(clients)))
                                : SocketFile::make(settings.socket, 0660, settings.socket_group));
  TRY(auto for_admin, admin ? Result<SocketFile>(SocketFile::inherited(*std::move(admin)))
                            : SocketFile::make(settings.admin_socket, 0600, std::nullopt));
  return Sockets{std::move(for_clients), std::move(for_admin)};
}

/// The parts that work together while the service runs.
class Running {
 public:
  Running(ServiceParts& parts, Policy policy, std::unique_ptr<Audit> audit)
      : parts_(parts), policy_(std::move(policy)), audit_(std::move(audit)) {}

  Result<void> start(Sockets& sockets);
  void tend();
  void stop();

 private:
  TokenDesk::Parts desk_parts();
  void token_changed(TokenState state, const std::string& reason);
  void key_tried(const KeyInfo& key, const KeyTrial& trial);
  void sign_head();
  Result<std::unique_ptr<HttpServer>> start_server(SocketFile& socket, HttpServer::Handle handle);

  ServiceParts& parts_;
  Policy policy_;
  std::unique_ptr<Audit> audit_;
  Metrics metrics_;
  std::optional<TokenDesk> desk_;
  std::optional<Jobs> jobs_;
  std::optional<Api> api_;
  std::unique_ptr<HttpServer> clients_, admin_;
  Clock::time_point last_head_ = Clock::now();
  Clock::time_point last_watchdog_ = Clock::now();
};

TokenDesk::Parts Running::desk_parts() {
  return {.open_module = parts_.open_module,
          .keys = parts_.keys,
          .ledger = parts_.pins,
          .operator_pin = parts_.operator_pin,
          .changed = [this](TokenState state, const std::string& reason) { token_changed(state, reason); },
          .tried = [this](const KeyInfo& key, const KeyTrial& trial) { key_tried(key, trial); },
          .warn =
              [this](const std::string& sentence) {
                parts_.log.line(LogLevel::warning, "token", {{"warning", sentence}});
              }};
}

void Running::token_changed(TokenState state, const std::string& reason) {
  parts_.log.line(LogLevel::warning, "token", {{"state", name(state)}, {"reason", reason}});
  static_cast<void>(audit_->record("token", {{"state", name(state)}, {"reason", reason}}));
}

void Running::key_tried(const KeyInfo& key, const KeyTrial& trial) {
  static_cast<void>(audit_->record("trial", {{"key", key.public_key->fingerprint().hex()},
                                             {"uri", key.uri},
                                             {"unwrap", name(trial.unwrap.outcome)},
                                             {"sign", name(trial.sign_protocol.outcome)}}));
}

Result<std::unique_ptr<HttpServer>> Running::start_server(SocketFile& socket, HttpServer::Handle handle) {
  HttpLimits limits;
  limits.connections = parts_.settings.connections;
  limits.connections_of_user = std::max(1U, parts_.settings.connections / 2);
  return HttpServer::start(
      socket.take(),
      {.limits = limits,
       .handle = std::move(handle),
       .refuse = [](const Error& error, int status) { return Api::failure("", error, status); },
       .answered = [this](int status) { metrics_.request_done(status); },
       .turned_away = [this] { metrics_.connection_refused(); }});
}

Result<void> Running::start(Sockets& sockets) {
  TRY_DO(audit_->record("start", {{"version", parts_.version},
                                  {"cut_bytes", audit_->log().cut_bytes()},
                                  {"unsigned", audit_->log().unsigned_lines()}}));
  desk_.emplace(desk_parts());
  jobs_.emplace(Jobs::Parts{parts_.settings, parts_.program, *desk_, *audit_, metrics_});
  api_.emplace(
      Api::Parts{policy_, *jobs_, *desk_, *audit_, metrics_, parts_.common_words,
                 Confinement{.writable = {parts_.state.path().string()}, .readable = parts_.readable},
                 parts_.version, parts_.write_token_metrics});
  TRY(clients_, start_server(sockets.clients, [this](Request& request) { return api_->handle(request); }));
  TRY(admin_, start_server(sockets.admin, [this](Request& request) { return api_->handle_admin(request); }));
  return {};
}

void Running::sign_head() {
  if (audit_->log().unsigned_lines() == 0) return;
  const auto key = desk_->first_key();
  if (!key) return;  // once there is one again
  if (auto done = audit_->sign_head(**key); !done)
    parts_.log.line(LogLevel::error, "audit", {{"head", "not signed"}, {"why", done.error().what}});
  last_head_ = Clock::now();
}

void Running::tend() {
  const auto now = Clock::now();
  if (audit_->log().unsigned_lines() >= kLinesForAHead || now - last_head_ >= kTimeForAHead) sign_head();
  const auto interval = watchdog_interval();
  if (!interval || now - last_watchdog_ < *interval / 2 || now - desk_->last_look() > kLongestLook) return;
  notify_systemd("WATCHDOG=1");
  last_watchdog_ = now;
}

void Running::stop() {
  clients_->stop_accepting();
  admin_->stop_accepting();
  jobs_->stop(Clock::now() + parts_.settings.stop_deadline);
  clients_.reset();
  admin_.reset();
  jobs_.reset();
  static_cast<void>(audit_->record("stop", nlohmann::ordered_json::object()));
  if (const auto key = desk_->first_key(); key && !audit_->close(**key))
    parts_.log.line(LogLevel::error, "audit", {{"head", "not signed at the end"}});
  desk_.reset();
}

}  // namespace

Result<void> serve(ServiceParts parts) {
  TRY_DO(check_can_confine());
  TRY(auto policy, Policy::make(parts.settings, parts.read_name));
  TRY(auto audit, Audit::open(parts.state));
  TRY(auto sockets, open_sockets(parts.settings));
  const EndSignals signals;
  Running running(parts, std::move(policy), std::move(audit));
  TRY_DO(running.start(sockets));
  parts.log.line(LogLevel::warning, "serving", {{"socket", parts.settings.socket}});
  notify_systemd("READY=1\nSTATUS=serving");
  constexpr auto kTick = std::chrono::milliseconds(500);
  while (!signals.wait(kTick)) running.tend();
  notify_systemd("STOPPING=1\nSTATUS=finishing what runs");
  parts.log.line(LogLevel::warning, "stopping");
  running.stop();
  return {};
}

}  // namespace trainseal::service
