#include "base/archive_names.h"

#include "base/text.h"

namespace cofferdam {

Utf8Names::Utf8Names() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
  if (locale_ != nullptr) before_ = ::uselocale(locale_);
}

Utf8Names::~Utf8Names() {
  if (locale_ == nullptr) return;
  ::uselocale(before_);
  ::freelocale(locale_);
}

Result<std::vector<std::string>> split_archive_path(std::string_view what, const char* raw, std::size_t max_bytes) {
  constexpr std::size_t kMaxName = 255;
  constexpr std::size_t kTold = 100;
  if (raw == nullptr) return fail(Code::InvalidArgument, cat("archive entry with a ", what, " that is not UTF-8"));
  const std::string_view path = raw;
  const auto refuse = [&](std::string_view why) {
    return fail(Code::InvalidArgument, cat("archive entry '", path.substr(0, kTold), "' has a ", what, " ", why));
  };
  if (path.size() > max_bytes) return refuse("that is too long");
  std::vector<std::string> parts;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("with '..', which would leave the root");
    if (part.size() > kMaxName) return refuse("that is too long");
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace cofferdam
