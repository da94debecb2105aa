// Keys and secrets fresh from the kernel; random bytes that are no secret are base/random.h.
#pragma once
#include "base/secure_bytes.h"

namespace cofferdam::crypto {

SecureBytes random_secret(std::size_t size);

// `length` digits of 0-9A-Za-z, each as likely as the others: 5.95 bits a digit.
SecureBytes random_base62(std::size_t length);

}  // namespace cofferdam::crypto
