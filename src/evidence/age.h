// The program age (Debian's `age`), which encrypts bundles to those who are to read them: how it is called. It gets and
// gives everything over pipes, and writes no file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::evidence {

inline constexpr std::size_t kMaxRecipients = 16;

// InvalidArgument: not the public key of somebody, "age1…".
Status check_recipient(std::string_view text);

// From root: as a uid that owns nothing, without a network, a capability, or a way to more of them.
std::vector<std::string> encrypt_argv(const std::vector<std::string>& recipients, std::uint32_t uid);
// As whoever calls, who can read the file; root gives it no network.
std::vector<std::string> decrypt_argv(const std::string& identity_file, bool as_root);

// The first bytes of what age has encrypted.
inline constexpr std::string_view kAgeMagic = "age-encryption.org/";

}  // namespace cofferdam::evidence
