// The one place where secrets are taken out of what is written down.
//
// Everywhere: our own tokens by their form, and values that were handed out in the entry's namespace, plain or in
// base64. In the words of a command, besides: what follows a name like "password" or "--token", the rest of "Bearer …",
// the password in a URL, and private keys. Then texts are made UTF-8 and cut to what an entry holds.
#pragma once
#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"
#include "model/event.h"

namespace cofferdam::ledger {

class Redactor {
 public:
  static constexpr std::size_t kMaxText = 4096;       // bytes of one text
  static constexpr std::size_t kMaxList = 16U << 10;  // bytes of a list of texts
  static constexpr std::size_t kMaxKnown = 2048;      // values, of all namespaces; beyond, the oldest is forgotten

  void conceal(const std::string& namespace_id, std::string_view value);
  void clean(model::Entry& entry) const;

 private:
  struct Known {
    std::string namespace_id;
    SecureBytes value, base64;
  };
  [[nodiscard]] std::string clean_text(std::string_view text, const std::string& namespace_id) const;
  void clean_words(model::Texts& words, const std::string& namespace_id) const;
  std::deque<Known> known_;
};

}  // namespace cofferdam::ledger
