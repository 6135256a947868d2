#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "train/json.h"

namespace trainseal::cli {

/// One object of the settings. The first thing that is wrong is kept in the `Fault` that all sections share,
/// so that a reader is a plain list of keys. A key that is null counts as absent; what is absent is left as
/// it was.
class Section {
 public:
  struct Fault {
    const JsonDocument& document;
    std::optional<Error> error;
  };

  /// `name` is the dotted name of the object, empty for the whole. `known` are the keys that there may be;
  /// others are a fault that names the nearest.
  Section(const JsonValue& object, std::string name, std::initializer_list<std::string_view> known,
          Fault& fault);

  /// The object at `key`; an empty one where it is absent.
  Section section(std::string_view key, std::initializer_list<std::string_view> known) const;

  /// The objects of the list at `key`; none where it is absent.
  std::vector<Section> sections(std::string_view key, std::initializer_list<std::string_view> known) const;

  void read(std::string_view key, std::optional<std::string>& value) const;
  void read(std::string_view key, bool& value) const;
  void read(std::string_view key, std::vector<std::string>& value) const;
  /// An integer from `least` to `most`.
  template <std::unsigned_integral T>
  void read(std::string_view key, T& value, std::uint64_t least, std::uint64_t most) const {
    if (const auto number = integer(key, least, most)) value = static_cast<T>(*number);
  }
  /// A path, which has to be absolute: what is in a file must not depend on where a command is started.
  void read_path(std::string_view key, std::optional<std::string>& value) const;
  /// The index among `names` of the word at `key`; none where it is absent.
  std::optional<std::size_t> choice(std::string_view key,
                                    std::initializer_list<std::string_view> names) const;
  /// The value at `key`; null if it is absent or null.
  const JsonValue* find(std::string_view key) const;
  /// Says that the value at `key` is wrong, e.g. "must be a text".
  void refuse(std::string_view key, std::string_view must) const;

 private:
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t least, std::uint64_t most) const;
  std::string full_name(std::string_view key) const;
  void fail_at(std::string place, std::string_view reason, std::string hint) const;

  const JsonValue& object_;
  std::string name_;
  Fault& fault_;
};

}  // namespace trainseal::cli
