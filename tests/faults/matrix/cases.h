#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trainseal::test {

/// What a function of the module does while a fault lasts.
struct Fault {
  std::string_view function;
  std::string what;               ///< "CKR_DEVICE_ERROR", "flip CKA_MODULUS", …
  std::string mode;               ///< "before", "after", "once"
  std::string rules;              ///< for the interposer
  bool passes_unseen = false;     ///< slow or harmless: every call has to end well
  bool is_about_the_key = false;  ///< what the key is was told wrongly: it has to be opened anew
};

/// The functions that are tested together, one ctest entry each.
enum class Group : unsigned char { module, sessions, log_in, find, unwrap, sign, manage };

/// Every fault of every function of the group: each code that PKCS#11 v2.40 names in the function's section,
/// a vendor's code, CKR_OK without the call having been made, and flipped output.
std::vector<Fault> faults_of(Group group);

/// The functions that the matrix has.
std::vector<std::string_view> all_functions();

/// True if the code says that the PIN was refused, so that it must not be sent again.
bool refuses_the_pin(std::string_view code);

}  // namespace trainseal::test
