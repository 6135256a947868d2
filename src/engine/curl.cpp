#include "engine/curl.h"

#include <dlfcn.h>

#include "base/text.h"

namespace trainseal {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

Result<Curl> load_library() {
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  bool complete = library != nullptr;
  const auto find = [&]<typename Function>(Function& function, const char* name) {
    if (complete) function = reinterpret_cast<Function>(dlsym(library, name));
    complete = complete && function != nullptr;
  };
  Curl curl{};
  find(curl.global_init, "curl_global_init");
  find(curl.easy_init, "curl_easy_init");
  find(curl.easy_cleanup, "curl_easy_cleanup");
  find(curl.easy_setopt, "curl_easy_setopt");
  find(curl.easy_getinfo, "curl_easy_getinfo");
  find(curl.easy_pause, "curl_easy_pause");
  find(curl.easy_strerror, "curl_easy_strerror");
  find(curl.multi_init, "curl_multi_init");
  find(curl.multi_cleanup, "curl_multi_cleanup");
  find(curl.multi_add_handle, "curl_multi_add_handle");
  find(curl.multi_remove_handle, "curl_multi_remove_handle");
  find(curl.multi_poll, "curl_multi_poll");
  find(curl.multi_perform, "curl_multi_perform");
  find(curl.multi_info_read, "curl_multi_info_read");
  find(curl.slist_append, "curl_slist_append");
  find(curl.slist_free_all, "curl_slist_free_all");
  if (!complete) {
    const char* reason = dlerror();
    return fail(
        Error{ErrorCode::engine_failed,
              text("the library ", kLibrary, ", which container engines are spoken to with, does not load"),
              "install it: Debian's package is libcurl4",
              reason != nullptr ? reason : "",
              {}});
  }
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(ErrorCode::engine_failed, "the HTTP library cannot be set up",
                "look at the limits of this user and machine (memory, open files)");
  return curl;
}

}  // namespace

Result<const Curl*> Curl::load() {
  static const Result<Curl> loaded = load_library();
  if (loaded) return &*loaded;
  Error error = loaded.error();
  return fail(std::move(error));
}

}  // namespace trainseal
