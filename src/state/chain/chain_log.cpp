#include "state/chain/chain_log.h"

#include <utility>

#include "state/chain/chain_check.h"
#include "state/chain/chain_writer.h"

namespace trainseal {

Result<std::unique_ptr<ChainLog>> ChainLog::open(const StateFolder& state, const std::string& name,
                                                 std::uint64_t rotation_bytes) {
  TRY(auto writer, Writer::open(state, name, rotation_bytes));
  return std::unique_ptr<ChainLog>(new ChainLog(state, name, std::move(writer)));
}

ChainLog::ChainLog(const StateFolder& state, std::string name, std::unique_ptr<Writer> writer)
    : state_(state), name_(std::move(name)), writer_(std::move(writer)) {}

ChainLog::~ChainLog() = default;

Result<ChainHead> ChainLog::append(std::string_view kind, const nlohmann::ordered_json& fields) {
  return writer_->append(kind, fields);
}

ChainHead ChainLog::head() const { return writer_->head(); }

Result<ChainHead> ChainLog::append_head(const SignedHead& signed_head) {
  return writer_->append_head({signed_head, /*closing=*/false});
}

Result<ChainHead> ChainLog::close(const SignedHead& signed_head) {
  return writer_->append_head({signed_head, /*closing=*/true});
}

Result<std::vector<std::string>> ChainLog::read_after(std::uint64_t seq, std::size_t max_lines,
                                                      std::size_t max_bytes) const {
  const std::uint64_t last = head().seq;  // what comes behind it may still fail
  std::vector<std::string> lines;
  std::size_t bytes = 0;
  bool is_full = false;
  TRY_DO(read_log(state_, name_, seq + 1, [&](std::uint64_t number, std::string_view line) {
    if (number > last || is_full) return;
    bytes += line.size();
    is_full = lines.size() == max_lines || (bytes > max_bytes && !lines.empty());
    if (!is_full) lines.emplace_back(line);
  }));
  return lines;
}

std::uint64_t ChainLog::cut_bytes() const { return writer_->cut_bytes(); }

std::uint64_t ChainLog::unsigned_lines() const { return writer_->unsigned_lines(); }

}  // namespace trainseal
