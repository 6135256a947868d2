#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace trainseal::service {

/// Text in Prometheus's format (version 0.0.4): one metric after the other.
class MetricsText {
 public:
  /// `type` is "counter", "gauge" or "histogram".
  void begin(std::string_view name, std::string_view type, std::string_view help);
  /// `labels` as in `verb="pre-run"`; may be empty.
  void value(std::string_view labels, double value) { sample("", labels, value); }
  void sample(std::string_view suffix, std::string_view labels, double value);
  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

/// How long something took, in buckets.
class Histogram {
 public:
  void add(std::chrono::nanoseconds time);
  void write(MetricsText& text, const std::string& labels) const;

 private:
  static constexpr std::array kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
                                          0.5,   1.0,    2.5,   5.0,  10.0,  60.0, 600.0};
  std::array<std::uint64_t, kSeconds.size()> counts_{};  ///< each with those below it
  std::uint64_t count_ = 0;
  double sum_seconds_ = 0;
};

/// What the service counts by itself. Thread-safe.
class Metrics {
 public:
  void job_called(const std::string& verb);
  void job_done(const std::string& verb, int http_status, std::chrono::nanoseconds waited,
                std::chrono::nanoseconds run);
  void request_done(int http_status);
  void connection_refused();
  void write(MetricsText& text) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> called_;
  std::map<std::pair<std::string, int>, std::uint64_t> done_;
  std::map<std::string, Histogram> waited_, run_;
  std::map<int, std::uint64_t> requests_;
  std::uint64_t refused_ = 0;
};

}  // namespace trainseal::service
