#include "ledger/redactor.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "base/base64.h"
#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kSecret = "[secret]";
// Shorter values are taken out only where they are a whole word: they stand by chance in too many texts.
constexpr std::size_t kTelling = 6;
constexpr std::size_t kLookAt = 64U << 10;  // of one text; what lies behind is cut anyway
constexpr std::size_t kMaxWords = 256;

bool is_digit62(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// "cof_KIND_" and at least 16 digits of base 62.
void hide_own_tokens(std::string& text) {
  constexpr std::string_view kPrefix = "cof_";
  constexpr std::size_t kDigits = 16;
  for (auto at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + 1)) {
    const auto kind_end = text.find('_', at + kPrefix.size());
    if (kind_end == std::string::npos) return;
    auto end = kind_end + 1;
    while (end < text.size() && is_digit62(text[end])) ++end;
    if (end - kind_end - 1 < kDigits) continue;
    text.replace(kind_end + 1, end - kind_end - 1, kSecret);
  }
}

constexpr std::array<std::string_view, 14> kTellingNames{
    "password", "passwd",     "passphrase", "secret",      "token",       "api-key",    "api_key",
    "apikey",   "access-key", "access_key", "private-key", "private_key", "credential", "auth"};

bool ends_with_telling_name(std::string_view lowered) {
  return std::any_of(kTellingNames.begin(), kTellingNames.end(),
                     [&](std::string_view name) { return lowered.ends_with(name); });
}

bool is_end_of_value(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0 || c == '"' || c == '\'' || c == '&' || c == ';';
}

// From `from` to the end of the value there; quotes and blanks before it stay.
void hide_value(std::string& text, std::size_t from) {
  while (from < text.size() && (text[from] == ' ' || text[from] == '"' || text[from] == '\'')) ++from;
  auto end = from;
  while (end < text.size() && !is_end_of_value(text[end])) ++end;
  if (end > from) text.replace(from, end - from, kSecret);
}

// "password=…", "X-Api-Key: …", "Authorization: Bearer …".
void hide_named_values(std::string& text) {
  for (std::size_t at = text.find_first_of("=:"); at != std::string::npos; at = text.find_first_of("=:", at + 1)) {
    const std::size_t begin = at > 32 ? at - 32 : 0;
    auto name = lower(std::string_view(text).substr(begin, at - begin));
    while (!name.empty() && (name.back() == '"' || name.back() == '\'')) name.pop_back();
    if (ends_with_telling_name(name)) hide_value(text, at + 1);
  }
  const std::string lowered = lower(text);
  for (const std::string_view scheme : {"bearer ", "basic "}) {
    // From the back, so that what is before keeps its place.
    for (auto at = lowered.rfind(scheme); at != std::string::npos;
         at = at == 0 ? std::string::npos : lowered.rfind(scheme, at - 1)) {
      if (at + scheme.size() <= text.size()) hide_value(text, at + scheme.size());
    }
  }
}

// "scheme://user:password@host".
void hide_url_passwords(std::string& text) {
  constexpr std::string_view kScheme = "://";
  for (auto at = text.find(kScheme); at != std::string::npos; at = text.find(kScheme, at + 1)) {
    const auto begin = at + kScheme.size();
    auto end = begin;
    std::size_t user_end = 0;
    while (end < text.size() && text[end] != '/' && text[end] != '@' && !is_end_of_value(text[end])) {
      if (text[end] == ':' && user_end == 0) user_end = end;
      ++end;
    }
    if (end < text.size() && text[end] == '@' && user_end != 0) {
      text.replace(user_end + 1, end - user_end - 1, kSecret);
    }
  }
}

void hide_private_keys(std::string& text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kKey = "PRIVATE KEY-----";
  constexpr std::string_view kEnd = "-----END ";
  for (auto at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at + 1)) {
    const auto key = text.find(kKey, at);
    if (key == std::string::npos) return;
    const auto body = key + kKey.size();
    const auto end = std::min(text.find(kEnd, body), text.size());
    text.replace(body, end - body, kSecret);
  }
}

std::string cut(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  const std::string mark = cat("…[", text.size() - most, " more bytes]");
  text.resize(most);
  // The cut may have split a character.
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0U) == 0x80U) text.pop_back();
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0U) text.pop_back();
  return text + mark;
}

void cut_list(model::Texts& texts) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    bytes += texts[i].size();
    if (i < kMaxWords && bytes <= Redactor::kMaxList) continue;
    const auto more = texts.size() - i;
    texts.resize(i);
    texts.push_back(cat("…[", more, " more]"));
    return;
  }
}

}  // namespace

void Redactor::conceal(const std::string& namespace_id, std::string_view value) {
  const auto same = [&](const Known& known) {
    return known.namespace_id == namespace_id && known.value.view() == value;
  };
  if (value.empty() || std::any_of(known_.begin(), known_.end(), same)) return;
  if (known_.size() >= kMaxKnown) known_.pop_front();
  std::string base64 = to_base64(value);
  // Without its last digit: what follows the value decides about that one.
  while (!base64.empty() && base64.back() == '=') base64.pop_back();
  if (!base64.empty()) base64.pop_back();
  known_.push_back({namespace_id, SecureBytes::copy_of(value), SecureBytes::copy_of(base64)});
  ::explicit_bzero(base64.data(), base64.size());
}

std::string Redactor::clean_text(std::string_view text, const std::string& namespace_id) const {
  std::string out(text.substr(0, kLookAt));
  for (const auto& known : known_) {
    if (known.namespace_id != namespace_id) continue;
    const auto value = known.value.view();
    if (value.size() >= kTelling) {
      replace_all(out, value, kSecret);
      if (known.base64.size() > kTelling) replace_all(out, known.base64.view(), kSecret);
    } else if (out == value || out.ends_with(cat("=", value))) {
      out.replace(out.size() - value.size(), value.size(), kSecret);
    }
  }
  hide_own_tokens(out);
  return out;
}

void Redactor::clean_words(model::Texts& words, const std::string& namespace_id) const {
  // What will be cut off needs no cleaning.
  for (std::size_t i = kMaxWords; i < words.size(); ++i) words[i].clear();
  bool value_next = false;
  for (auto& word : std::span(words).first(std::min(words.size(), kMaxWords))) {
    const std::string name = lower(std::string_view(word).substr(0, 64));
    const bool hide = value_next && !word.starts_with('-');
    value_next = word.starts_with('-') && word.size() <= 64 && ends_with_telling_name(name);
    word = hide ? std::string(kSecret) : clean_text(word, namespace_id);
    hide_private_keys(word);
    hide_url_passwords(word);
    hide_named_values(word);
  }
}

void Redactor::clean(model::Entry& entry) const {
  const std::string space = entry.about.namespace_id;
  const auto words = [&](std::uint8_t, std::string_view name, auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, model::Texts>) {
      if (name == "argv") clean_words(value, space);
    }
  };
  entry.event.each_field(words);
  model::each_text(entry, [&](std::string& text) { text = cut(to_utf8(clean_text(text, space)), kMaxText); });
  const auto lists = [](std::uint8_t, std::string_view, auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, model::Texts>) cut_list(value);
  };
  entry.event.each_field(lists);
}

}  // namespace cofferdam::ledger
