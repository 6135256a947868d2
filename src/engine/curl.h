#pragma once

#include <curl/curl.h>

#include "base/result.h"

namespace trainseal {

/// The calls of libcurl that are made here. The library is loaded when an engine is first spoken to, because
/// it brings some thirty others along (Kerberos, LDAP, TLS): loading them takes 3 ms of each command and of
/// each token worker, most of which never speak to an engine.
struct Curl {
  /// The library, loaded at the first call and never unloaded. `engine_failed` if it is not installed.
  static Result<const Curl*> load();

  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_pause) easy_pause;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_multi_add_handle) multi_add_handle;
  decltype(&curl_multi_remove_handle) multi_remove_handle;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_info_read) multi_info_read;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
};

}  // namespace trainseal
