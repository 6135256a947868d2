#include "cli/access/survey.h"

#include <algorithm>

#include "base/text.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

bool SurveyedModule::has_token() const {
  return std::ranges::any_of(tokens, [](const TokenInfo& token) { return token.initialized; });
}

std::string SurveyedModule::summary() const {
  if (error) return error->what;
  if (!has_token()) return tokens.empty() ? "no token" : "no token that is initialized";
  std::vector<std::string> labels;
  for (const auto& token : tokens)
    if (token.initialized) labels.push_back(token.label);
  return text(count_text(labels.size(), "token"), ": ", listed(labels));
}

SurveyedModule survey(const Context& context, const std::string& file, const TokenSettings& settings) {
  SurveyedModule found{file, {}, {}};
  auto module = open_module(context, file, settings, StateFolder::none(context.clock()));
  auto tokens = module ? (*module)->tokens() : fail(std::move(module).error());
  if (tokens)
    found.tokens = *std::move(tokens);
  else
    found.error = std::move(tokens).error();
  return found;
}

std::vector<SurveyedModule> survey(const Context& context, const std::vector<std::string>& files,
                                   const TokenSettings& settings) {
  std::vector<SurveyedModule> all;
  all.reserve(files.size());
  for (const auto& file : files) all.push_back(survey(context, file, settings));
  return all;
}

}  // namespace trainseal::cli
