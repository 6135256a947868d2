#include "service/jobs/lent_keys.h"

#include <utility>

namespace trainseal::service {
namespace {

class LentKey final : public TokenKey {
 public:
  LentKey(JobLink& link, PublicKey public_key, std::string uri, KeyPath unwrap_path, KeyPath sign_path)
      : link_(link),
        public_key_(std::move(public_key)),
        uri_(std::move(uri)),
        unwrap_path_(unwrap_path),
        sign_path_(sign_path) {}

  const PublicKey& public_key() const override { return public_key_; }
  std::string uri() const override { return uri_; }
  Result<SymmetricKey> unwrap(const WrappedKey& wrapped) override;
  Result<PssSignature> sign_pss(const Digest512& digest, PssSalt salt) override;
  Result<Pkcs1Signature> sign_pkcs1(const Digest512& /*message_digest*/) override {
    return fail(ErrorCode::denied, "a job of the service signs for a station only");
  }
  KeyPath unwrap_path() const override { return unwrap_path_; }
  KeyPath sign_path() const override { return sign_path_; }

 private:
  JobLink& link_;
  PublicKey public_key_;
  std::string uri_;
  KeyPath unwrap_path_;
  KeyPath sign_path_;
};

Result<SymmetricKey> LentKey::unwrap(const WrappedKey& wrapped) {
  SecretBytes bytes;
  TRY_DO(link_.ask(
      JobMessage::unwrap, [&](Encoder& request) { request.put(wrapped.bytes); },
      [&](Decoder& reply) { reply.get(bytes, unwrap_path_); }));
  return SymmetricKey::take(std::move(bytes));
}

Result<PssSignature> LentKey::sign_pss(const Digest512& digest, PssSalt salt) {
  PssSignature signature;
  TRY_DO(link_.ask(
      JobMessage::sign_pss, [&](Encoder& request) { request.put(digest, salt); },
      [&](Decoder& reply) { reply.get(signature.bytes, sign_path_); }));
  return signature;
}

Error service_is_gone() {
  return {ErrorCode::service_unavailable,
          "the service has ended in the middle of the job",
          "start it again and repeat the call: what was begun is finished or undone then",
          {},
          {}};
}

}  // namespace

std::optional<JobOrder> JobLink::receive_order() {
  const auto received = link_.receive(buffer_.expose_for_writing());
  if (received.arrival != Link::Arrival::message) return std::nullopt;
  JobOrder order;
  Decoder decoder(received.message);
  get(decoder, order);
  if (!decoder.complete()) return std::nullopt;
  return order;
}

void JobLink::tell(JobMessage what, const Write& write, int passenger) {
  const std::scoped_lock lock(mutex_);
  Encoder encoder(buffer_.expose_for_writing());
  encoder.put(what);
  write(encoder);
  if (encoder.fits()) link_.send(buffer_.expose().first(encoder.size()), passenger);
}

Result<void> JobLink::ask(JobMessage what, const Write& write, const Read& read) {
  const std::scoped_lock lock(mutex_);
  Encoder encoder(buffer_.expose_for_writing());
  encoder.put(what);
  write(encoder);
  if (!encoder.fits() || !link_.send(buffer_.expose().first(encoder.size()))) return fail(service_is_gone());
  const auto received = link_.receive(buffer_.expose_for_writing());
  if (received.arrival != Link::Arrival::message) return fail(service_is_gone());
  Decoder decoder(received.message);
  auto kind = ReplyKind::failed;
  decoder.get(kind);
  Error error;
  if (kind == ReplyKind::done)
    read(decoder);
  else
    decoder.get(error);
  const bool complete = decoder.complete();
  wipe(buffer_.expose_for_writing().first(received.message.size()));
  if (!complete) return fail(service_is_gone());
  if (kind != ReplyKind::done) return fail(std::move(error));
  return {};
}

Result<TokenKey*> LentKeys::key_for(const PublicKey& wanted) {
  std::string uri;
  auto unwrap_path = KeyPath::native;
  auto sign_path = KeyPath::native;
  TRY_DO(link_.ask(
      JobMessage::key_for, [&](Encoder& request) { request.put(wanted); },
      [&](Decoder& reply) { reply.get(uri, unwrap_path, sign_path); }));
  keys_.push_back(std::make_unique<LentKey>(link_, wanted, std::move(uri), unwrap_path, sign_path));
  return keys_.back().get();
}

Result<TokenKey*> LentKeys::only_key() {
  return fail(ErrorCode::internal, "a job of the service asked for a key that its train does not name");
}

}  // namespace trainseal::service
