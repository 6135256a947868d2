// A PKCS#11 module that hands every call on to the real module TRAINSEAL_INTERPOSE_MODULE, lets it fail as
// the rules of the file TRAINSEAL_INTERPOSE_RULES say (rules.h), and appends a line about it to the file
// TRAINSEAL_INTERPOSE_LOG:
//
//   PID FUNCTION KEY=VALUE… rv=CKR_… [real=CKR_…|none]
//
// `real` stands where a rule replaced the answer of the real module, or kept the call from it.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "interposer/calls.h"
#include "interposer/functions.h"

namespace interposer {
namespace {

const CK_FUNCTION_LIST* real = nullptr;

RulesFile& rules_file() {
  static RulesFile file([] {
    const char* path = std::getenv("TRAINSEAL_INTERPOSE_RULES");
    return std::string(path != nullptr ? path : "");
  }());
  return file;
}

[[noreturn]] void hang() {
  while (true) ::pause();
}

void close_behind_the_back(CK_SESSION_HANDLE session) {
  if (real->C_CloseSession(session) == CKR_OK) sessions.closed(session);
}

/// What rules want besides an answer.
void act(const std::vector<Rule>& rules, Moment moment, const Call& call) {
  for (const Rule& rule : rules) {
    if (rule.moment() != moment) continue;
    std::this_thread::sleep_for(rule.delay);
    if (rule.deed == Deed::hang) hang();
    if (rule.deed == Deed::abort) std::abort();
    if (rule.deed == Deed::close) close_behind_the_back(call.session.value());
    if (rule.deed == Deed::logout) real->C_Logout(call.session.value());
  }
}

std::optional<CK_RV> answer(const std::vector<Rule>& rules, Moment moment) {
  for (const Rule& rule : rules)
    if (rule.rv && rule.moment() == moment) return rule.rv;
  return std::nullopt;
}

/// Turns over a bit of the output for each rule that wants it.
template <typename Tag, typename... Arguments>
void flip(Tag tag, const std::vector<Rule>& rules, Arguments... arguments) {
  for (const Rule& rule : rules) {
    if (rule.deed != Deed::flip) continue;
    if (const MutableByteView bytes = output(tag, rule, arguments...); !bytes.empty()) bytes.front() ^= 1;
  }
}

/// What the program gets, and what the real module said, if it was asked.
struct Answer {
  CK_RV rv;
  std::optional<CK_RV> real;
};

std::string line(const Call& call, const std::string& words, const Answer& said) {
  std::string out = text(::getpid(), ' ', call.function, words, " rv=", name_of(return_values(), said.rv));
  if (!said.real)
    out += " real=none";
  else if (*said.real != said.rv)
    out += text(" real=", name_of(return_values(), *said.real));
  return out + '\n';
}

template <typename Tag, typename... Arguments>
Answer answered(Tag tag, CK_RV (*function)(Arguments...), const Call& call, const std::vector<Rule>& rules,
                Arguments... arguments) {
  act(rules, Moment::before, call);
  if (const auto faked = answer(rules, Moment::before)) return {*faked, std::nullopt};
  Amended amended;
  amend(tag, rules, amended, arguments...);
  const CK_RV rv = function != nullptr ? function(arguments...) : CKR_FUNCTION_NOT_SUPPORTED;
  if (rv == CKR_OK) {
    follow(tag, rules, arguments...);
    flip(tag, rules, arguments...);
  }
  act(rules, Moment::after, call);
  return {answer(rules, Moment::after).value_or(rv), rv};
}

CK_SESSION_HANDLE first_of(CK_SESSION_HANDLE session, auto...) { return session; }

/// Every call comes through here.
template <auto Member, bool HasSession, typename... Arguments>
CK_RV intercept(const char* name, Arguments... arguments) {
  constexpr Function<Member> tag;
  Description described = describe(tag, arguments...);
  described.call.function = name;
  if constexpr (HasSession) described.call.session = first_of(arguments...);
  static const History history{[] { return sessions.count(); }, refused_pins};
  const auto rules = rules_file().concerning(described.call, history);
  const Answer said = answered(tag, real->*Member, described.call, rules, arguments...);
  write_down(line(described.call, described.words, said));
  return said.rv;
}

template <auto Member, bool HasSession, typename Pointer>
struct Wrapper;
template <auto Member, bool HasSession, typename... Arguments>
struct Wrapper<Member, HasSession, CK_RV (*)(Arguments...)> {
  static inline const char* name = "";
  static CK_RV call(Arguments... arguments) { return intercept<Member, HasSession>(name, arguments...); }
};

template <auto Member, bool HasSession>
void wrap(CK_FUNCTION_LIST& list, const char* name) {
  using This = Wrapper<Member, HasSession, std::remove_reference_t<decltype(list.*Member)>>;
  This::name = name;
  list.*Member = This::call;
}

CK_FUNCTION_LIST wrapped_list() {
  CK_FUNCTION_LIST list{};
  list.version = real->version;
#define TRAINSEAL_WRAP_SESSION(function) wrap<&CK_FUNCTION_LIST::function, true>(list, #function);
#define TRAINSEAL_WRAP_OTHER(function) wrap<&CK_FUNCTION_LIST::function, false>(list, #function);
  TRAINSEAL_SESSION_FUNCTIONS(TRAINSEAL_WRAP_SESSION)
  TRAINSEAL_OTHER_FUNCTIONS(TRAINSEAL_WRAP_OTHER)
#undef TRAINSEAL_WRAP_SESSION
#undef TRAINSEAL_WRAP_OTHER
  list.C_GetFunctionList = C_GetFunctionList;
  return list;
}

CK_RV load_real() {
  const char* path = std::getenv("TRAINSEAL_INTERPOSE_MODULE");
  void* library = path ? ::dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  const auto get_list =
      library ? reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList")) : nullptr;
  CK_FUNCTION_LIST* list = nullptr;
  const CK_RV rv = get_list ? get_list(&list) : CKR_LIBRARY_LOAD_FAILED;
  real = list;
  return rv;
}

}  // namespace
}  // namespace interposer

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  using namespace interposer;
  if (!real) {
    if (const CK_RV rv = load_real(); rv != CKR_OK) return rv;
  }
  static CK_FUNCTION_LIST wrapped = wrapped_list();
  *list = &wrapped;
  return CKR_OK;
}
