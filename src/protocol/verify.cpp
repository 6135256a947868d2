#include "protocol/verify.h"

#include "base/text.h"
#include "protocol/checks/master_check.h"
#include "protocol/checks/public_checks.h"
#include "protocol/steps/plain_digests.h"
#include "protocol/steps/step.h"
#include "protocol/steps/summary.h"

namespace trainseal {

namespace {

void tell_checked(const CheckedConfig& train, std::size_t previous, VerifyReport& report) {
  report.checked.push_back("the config is well-formed, and its route has no gap and names no station twice");
  report.checked.push_back("the creator's and the builder's signatures over the immutable files' hash");
  if (train.completed > 0) {
    report.checked.push_back(text("the signatures of the ", train.completed,
                                  " stops that have run, and that no other has signed"));
    report.checked.push_back(text("the digest of stop ", train.completed,
                                  ", recomputed from the ones before it and the result hash"));
    report.checked.push_back("the signature over the result hash");
    report.checked.push_back("user_sym_key.key is the creator's wrapped key");
  } else {
    report.checked.push_back("no stop has signed, and there is no result hash");
  }
  if (previous > 0)
    report.checked.push_back(text("nothing that ", previous, " earlier stages fix has changed"));
}

void tell_not_checked(const CheckedConfig& train, const Trust& trust, std::size_t previous,
                      VerifyReport& report) {
  report.not_checked.push_back(
      "what is in the files: that needs the key of the next station or of the creator");
  report.not_checked.push_back("whether the wrapped keys can be unwrapped: only their holders can tell");
  if (train.completed > 1 && previous == 0) {
    report.not_checked.push_back(
        "the digests of stops before the last one: that needs earlier stages (--previous)");
  }
  if (!trust.creators || !trust.stations) {
    report.not_checked.push_back(
        "whose keys they are: that needs a trust file (--trust) with creators and stations");
  }
  if (!trust.routes) {
    report.not_checked.push_back(
        "whether the route is the one that was agreed on: the format does not sign it (routes in the trust "
        "file)");
  }
}

Result<void> check_image(Station& station, const TrainConfig& config,
                         const std::optional<MasterRequest>& master, VerifyReport& report) {
  if (!master) {
    report.not_checked.push_back(
        "the image's code outside of the train's files, interpreter and entry point: that needs the image "
        "that it was built on (--master)");
    return {};
  }
  Step step(station.observer, "master");
  TRY(const auto differences, master->compare(listed_files(config)));
  TRY_DO(check_same_as_master(differences, master->name));
  report.checked.push_back(text("the image is ", master->name,
                                " with a train on it: every path, its kind, mode, "
                                "owner and content, and how it is run"));
  step.succeeded();
  return {};
}

}  // namespace

Result<VerifyReport> verify(Station& station, TrainView& train, const std::vector<TrainView*>& previous,
                            bool is_image, const std::optional<MasterRequest>& master) {
  if (!is_image) warn_of_unchecked_masters(station);
  TRY(const CheckedConfig checked, check_publicly(station, train, Turn::anybodys, previous));
  VerifyReport report{summarize(checked.config, checked.completed), {}, {}};
  TRY(const bool is_plain, immutable_files_are_plain(checked.config, train));
  if (is_plain)
    station.observer.warning(
        "the train's files lie there in plaintext, as a run in place has them: whoever copies or pushes that "
        "place before post-run copies plaintext");
  tell_checked(checked, previous.size(), report);
  tell_not_checked(checked, station.trust, previous.size(), report);
  if (is_image) TRY_DO(check_image(station, checked.config, master, report));
  return report;
}

}  // namespace trainseal
