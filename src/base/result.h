#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/error.h"

namespace trainseal {

/// A value, or the reason why there is none. No exception crosses a folder's border.
template <typename T>
using Result = std::expected<T, Error>;

/// The failed half of a `Result`: `return fail(ErrorCode::no_record, "…", "…");`.
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string what, std::string hint = {},
                                                 std::string detail = {}) {
  return std::unexpected(Error{code, std::move(what), std::move(hint), std::move(detail), {}});
}

/// Passes a failure on: `if (!x) return fail(std::move(x).error());`.
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace trainseal

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
#define TRAINSEAL_JOIN_(a, b) a##b
#define TRAINSEAL_JOIN(a, b) TRAINSEAL_JOIN_(a, b)
#define TRAINSEAL_TRY_(result, declaration, expression)             \
  auto result = (expression);                                       \
  if (!result) return ::trainseal::fail(std::move(result).error()); \
  declaration = *std::move(result)

/// `TRY(auto config, TrainConfig::parse(bytes));` declares `config` or returns the failure.
#define TRY(declaration, expression) \
  TRAINSEAL_TRY_(TRAINSEAL_JOIN(try_result_, __LINE__), declaration, expression)

/// `TRY_DO(store.commit(…));` goes on or returns the failure.
#define TRY_DO(expression)                                     \
  do {                                                         \
    if (auto try_result = (expression); !try_result)           \
      return ::trainseal::fail(std::move(try_result).error()); \
  } while (false)
// NOLINTEND(bugprone-macro-parentheses)
