#include "engine/plain_search.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <utility>

#include "base/text.h"

namespace trainseal {
namespace {

/// How much of an id people are shown, by engines, too; podman takes no shortened id with `sha256:`.
constexpr std::size_t kShownIdBytes = 12;

/// Seconds since 1970 as what RFC 3339 begins with, which sorts by time.
std::string time_text(std::int64_t seconds) {
  constexpr std::int64_t kLast = 253402300799;  // of the year 9999
  using namespace std::chrono;
  const sys_seconds time{std::chrono::seconds(std::clamp(seconds, std::int64_t{0}, kLast))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text.data();
}

std::string bare(const std::string& id) { return id.starts_with("sha256:") ? id.substr(7) : id; }
std::string shown(const std::string& id) { return bare(id).substr(0, kShownIdBytes); }

class Search {
 public:
  Search(const Engine& engine, const PlainTraces& traces, const std::optional<EngineImage>& base)
      : engine_(engine), traces_(traces), base_(base), since_(traces.since.substr(0, time_text(0).size())) {}

  Result<std::vector<std::string>> remove() && {
    TRY(const auto entries, engine_.images());
    for (const EngineEntry& entry : entries) TRY_DO(look_at(entry, entries));
    remove_images();
    TRY_DO(report_what_stays());
    TRY_DO(look_at_containers());
    return std::move(left_);
  }

 private:
  Result<void> look_at(const EngineEntry& entry, const std::vector<EngineEntry>& all) {
    TRY(const auto image, engine_.find(entry.id));
    if (!image) return {};  // it has just gone
    if (holds_traces(*image)) {
      plain_.push_back(*image);
    } else if (image->names.empty() && may_be_of_a_run(*image, entry, all)) {
      left_.push_back(text("the image ", shown(image->id),
                           " has no name and was made on the base while the train was decrypted: it may hold "
                           "plaintext; remove it: docker rmi ",
                           shown(image->id)));
    }
    return {};
  }

  bool holds_traces(const EngineImage& image) const {
    if (image.config_digest && traces_.configs.contains(image.config_digest->hex())) return true;
    return std::ranges::any_of(
        image.diff_ids, [&](const Digest256& diff_id) { return traces_.diff_ids.contains(diff_id.hex()); });
  }

  bool is_since(const EngineEntry& entry) const { return time_text(entry.created) >= since_; }

  /// What somebody commits has the time of that; what we make has the time of its base.
  bool may_be_of_a_run(const EngineImage& image, const EngineEntry& entry,
                       const std::vector<EngineEntry>& all) const {
    if (!base_ || !is_since(entry) || image.diff_ids.size() <= base_->diff_ids.size()) return false;
    if (image.config_digest && traces_.sound.contains(image.config_digest->hex())) return false;
    const auto base_entry = std::ranges::find(all, base_->id, &EngineEntry::id);
    if (base_entry != all.end() && base_entry->created == entry.created) return false;
    return std::ranges::equal(base_->diff_ids, std::span(image.diff_ids).first(base_->diff_ids.size()));
  }

  /// A parent cannot go before its children: again, as long as one more goes.
  void remove_images() {
    for (std::size_t before = SIZE_MAX; nameless() < before;) {
      before = nameless();
      std::erase_if(plain_, [&](const EngineImage& image) {
        // Docker would take the last name away, and keep the image where a container needs it.
        return image.names.empty() && engine_.remove(image.id).has_value();
      });
    }
  }
  std::size_t nameless() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(plain_, [](const EngineImage& image) { return image.names.empty(); }));
  }

  Result<void> report_what_stays() {
    for (const EngineImage& image : plain_) {
      TRY(const auto there, engine_.find(image.id));
      if (!there) continue;  // gone with one of its children
      std::string why = text("the container engine still names it ", listed(there->names));
      if (there->names.empty()) {
        const auto removed = engine_.remove(image.id);
        if (removed) continue;
        why = removed.error().what;
      }
      left_.push_back(text("the image ", image.id, ", which holds plaintext, could not be removed: ", why,
                           "; remove what needs it, then: docker rmi ",
                           there->names.empty() ? shown(image.id) : there->names.front()));
    }
    return {};
  }

  Result<void> look_at_containers() {
    TRY(const auto containers, engine_.containers());
    for (const EngineEntry& container : containers) {
      const bool is_of_plain = std::ranges::any_of(
          plain_, [&](const EngineImage& image) { return bare(image.id) == bare(container.image); });
      const bool is_of_base = base_ && bare(base_->id) == bare(container.image) && is_since(container);
      if (!is_of_plain && !is_of_base) continue;
      left_.push_back(text("the container ", shown(container.id),
                           is_of_plain ? " was made from an image with plaintext"
                                       : " was made from the base while the train was decrypted",
                           ": it may hold plaintext; remove it: docker rm ", shown(container.id)));
    }
    return {};
  }

  const Engine& engine_;
  const PlainTraces& traces_;
  const std::optional<EngineImage>& base_;
  std::string since_;
  std::vector<EngineImage> plain_;
  std::vector<std::string> left_;
};

}  // namespace

Result<std::vector<std::string>> remove_plain_images(const Engine& engine, const PlainTraces& traces,
                                                     const std::optional<EngineImage>& base) {
  return Search(engine, traces, base).remove();
}

}  // namespace trainseal
