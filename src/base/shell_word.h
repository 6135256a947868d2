#pragma once

#include <string>
#include <string_view>

namespace trainseal {

/// `word` as a shell reads it back: in single quotes unless it is plain. For commands in messages.
std::string shell_word(std::string_view word);

}  // namespace trainseal
