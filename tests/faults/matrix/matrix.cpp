// Every function of the module × everything that it may answer: nothing wrong comes out, nothing hangs, no
// PIN is tried twice, and when the fault ends the token works again.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "faults/matrix/scene.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

/// Longer than all deadlines together: a call that takes as long hangs.
constexpr auto kHang = std::chrono::seconds(20);
constexpr unsigned kAttemptsToRecover = 2;

/// A row of the table.
struct Row {
  const Fault& fault;
  std::string phase;
  std::vector<StepOutcome> steps;
  unsigned attempts = 0;
  std::vector<std::string> found;  ///< what must not be

  std::string csv() const {
    std::string outcomes;
    for (const StepOutcome& step : steps)
      outcomes +=
          text(outcomes.empty() ? "" : "; ", step.step, ": ",
               step.right ? std::string("right") : text(name(step.error.code), " (", step.error.detail, ')'));
    return text(fault.function, ',', fault.what, ',', fault.mode, ',', phase, ",\"", outcomes, "\",",
                attempts, ",\"", found.empty() ? std::string("good") : listed(found), "\"\n");
  }
};

bool is_of_the_token(ErrorCode code) {
  constexpr std::array kCodes = {ErrorCode::token_unavailable, ErrorCode::token_failed,
                                 ErrorCode::mechanism_refused, ErrorCode::key_not_found,
                                 ErrorCode::key_ambiguous,     ErrorCode::pin_missing,
                                 ErrorCode::pin_incorrect,     ErrorCode::pin_locked};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

/// PINs that were sent after one was refused.
unsigned repeated_pins(const std::string& record) {
  std::istringstream lines(record);
  unsigned refused = 0;
  unsigned repeated = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" C_Login ") == line.npos) continue;
    repeated += refused > 0 ? 1 : 0;
    const std::size_t rv = line.find(" rv=") + 4;
    refused += refuses_the_pin(line.substr(rv, line.find(' ', rv) - rv)) ? 1 : 0;
  }
  return repeated;
}

class Matrix {
 public:
  explicit Matrix(Group group) : group_(group), faults_(faults_of(group)) {}

  void run() {
    for (const Fault& fault : faults_) {
      if (group_ == Group::manage) {
        managing(fault);
        continue;
      }
      in_use(fault);
      at_the_start(fault);
    }
  }

  /// Writes the table to `file` and the totals to standard output; fails the test for each bad row.
  void report(const std::filesystem::path& file) const {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out(file);
    out << "function,fault,mode,phase,steps,attempts to recover,verdict\n";
    std::size_t bad_rows = 0;
    std::map<std::string, std::size_t> ends;
    for (const Row& row : rows_) {
      out << row.csv();
      bad_rows += row.found.empty() ? 0 : 1;
      for (const StepOutcome& step : row.steps)
        ++ends[step.right ? "right" : std::string(name(step.error.code))];
    }
    std::cout << file.filename().native() << ": " << faults_.size() << " faults, " << rows_.size()
              << " runs, " << bad_rows << " bad; steps:";
    for (const auto& [end, count] : ends) std::cout << ' ' << end << ' ' << count;
    std::cout << '\n';
    for (const Row& row : rows_) {
      INFO(row.csv());
      CHECK(row.found.empty());
    }
  }

 private:
  template <typename Steps>
  Row observed(const Fault& fault, std::string phase, Steps steps) {
    Row row{fault, std::move(phase), {}, 0, {}};
    scene_.arm(fault.rules);
    const auto begun = std::chrono::steady_clock::now();
    row.steps = steps();
    if (std::chrono::steady_clock::now() - begun > kHang) row.found.emplace_back("hung");
    judge(row);
    scene_.heal();
    return row;
  }

  void judge(Row& row) const {
    for (const StepOutcome& step : row.steps) {
      if (!step.wrong.empty()) row.found.push_back(step.wrong);
      if (row.fault.passes_unseen && !step.right) row.found.push_back(text(step.step, " failed"));
      if (step.right) continue;
      if (!is_of_the_token(step.error.code))
        row.found.push_back(text(name(step.error.code), " is no token's error"));
      if (step.error.what.empty() || step.error.hint.empty())
        row.found.emplace_back("an error without what or hint");
    }
    if (const unsigned repeated = repeated_pins(scene_.record()); repeated > 0)
      row.found.push_back(text("a refused PIN was sent ", repeated, " times more"));
  }

  void recover(Row& row) {
    std::this_thread::sleep_for(kRecoveryPause);  // part of the promise: no recovery is tried before
    for (row.attempts = 1;; ++row.attempts) {
      const StepOutcome out = scene_.attempt(row.fault.is_about_the_key);
      if (!out.wrong.empty()) row.found.push_back(text("afterwards ", out.wrong));
      if (out.right) return;
      if (row.attempts < kAttemptsToRecover) continue;
      row.found.push_back(text("no recovery: ", out.step, ": ", out.error.what, " (", out.error.detail, ')'));
      return;
    }
  }

  void in_use(const Fault& fault) {
    Row row = observed(fault, "in use", [&] { return scene_.use(); });
    recover(row);
    rows_.push_back(std::move(row));
  }

  void at_the_start(const Fault& fault) {
    Row row = observed(fault, "start", [&] { return scene_.start(); });
    recover(row);
    rows_.push_back(std::move(row));
  }

  void managing(const Fault& fault) {
    Row row = observed(fault, "manage", [&] { return scene_.manage(fault.function); });
    recover(row);
    const StepOutcome tidy = scene_.is_tidy();
    if (!tidy.wrong.empty()) row.found.push_back(tidy.wrong);
    if (!tidy.right)
      row.found.push_back(
          text("left behind: ", tidy.step, ": ", tidy.error.what, " (", tidy.error.detail, ')'));
    rows_.push_back(std::move(row));
  }

  Group group_;
  std::vector<Fault> faults_;
  Scene scene_;
  std::vector<Row> rows_;
};

void run(Group group, const std::string& name) {
  Matrix matrix(group);
  matrix.run();
  matrix.report(std::filesystem::path(TRAINSEAL_FAULT_TABLES) / (name + ".csv"));
}

}  // namespace

TEST_CASE("matrix: module") { run(Group::module, "module"); }
TEST_CASE("matrix: sessions") { run(Group::sessions, "sessions"); }
TEST_CASE("matrix: log-in") { run(Group::log_in, "log-in"); }
TEST_CASE("matrix: find") { run(Group::find, "find"); }
TEST_CASE("matrix: unwrap") { run(Group::unwrap, "unwrap"); }
TEST_CASE("matrix: sign") { run(Group::sign, "sign"); }
TEST_CASE("matrix: key management") { run(Group::manage, "manage"); }

TEST_CASE("imitation four-sessions: eight threads share what there is") {
  Scene scene;
  // Slow operations, so that the threads meet.
  scene.arm(content_of(std::filesystem::path(TRAINSEAL_IMITATIONS) / "four-sessions.rules") +
            "\nC_Sign delay=5\nC_Decrypt delay=5\n");
  std::atomic<unsigned> right = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (unsigned n = 0; n < 10; ++n)
          for (const StepOutcome& step : scene.use()) right += step.right && step.wrong.empty() ? 1 : 0;
      });
  }
  CHECK(right == 8 * 10 * 2);
  CHECK_THAT(scene.record(), Catch::Contains("C_OpenSession mode=ro rv=CKR_SESSION_COUNT"));
}

TEST_CASE("matrix: it has every function that is called") {
  Scene scene;
  scene.heal();
  scene.start();
  scene.manage("C_GenerateKeyPair");
  scene.manage("C_CreateObject");
  std::set<std::string> called;
  std::istringstream lines(scene.record());
  for (std::string process, function, rest; lines >> process >> function && std::getline(lines, rest);)
    called.insert(function);
  const auto known = all_functions();
  for (const std::string& function : called) {
    INFO(function);
    CHECK(std::ranges::find(known, function) != known.end());
  }
}
