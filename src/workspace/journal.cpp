#include "workspace/journal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <iterator>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/aead.h"

namespace cofferdam::workspace {
namespace {

constexpr std::size_t kMaxBytes = 256U << 10;
constexpr std::size_t kMaxFile = 512U << 10;
constexpr std::size_t kMaxPiece = 256U << 10;
constexpr std::size_t kLineCost = 32;  // what a line takes beside its text

std::string_view source_name(LogSource source) { return source == LogSource::boot ? "boot.log" : "cmd.log"; }

}  // namespace

std::string format_line(const LogLine& line) { return cat(format_rfc3339(line.time), " ", line.message, "\n"); }

std::vector<LogLine> parse_lines(std::string_view text) {
  std::vector<LogLine> lines;
  for (const auto& item : split(text, '\n')) {
    const auto blank = item.find(' ');
    if (blank == std::string::npos) continue;
    const auto time = parse_rfc3339(std::string_view(item).substr(0, blank));
    if (time) lines.push_back({*time, item.substr(blank + 1)});
  }
  return lines;
}

std::string log_path(const std::string& folder, LogSource source) { return cat(folder, "/", source_name(source)); }

Status append_log(const std::string& folder, LogSource source, std::string_view text, const SecureBytes& key) {
  if (text.size() > kMaxPiece) text.remove_prefix(text.size() - kMaxPiece);
  std::string record;
  ByteWriter(record).text(crypto::seal(key, text, source_name(source)));
  const std::string path = log_path(folder, source);
  TRY_ASSIGN(UniqueFd file, open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  if (static_cast<std::size_t>(st.st_size) + record.size() > kMaxFile) {
    if (::rename(path.c_str(), cat(path, ".1").c_str()) != 0) return fail_errno(cat("rename '", path, "'"));
    TRY_ASSIGN(file, open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  }
  return write_all(file.get(), record);
}

std::vector<LogLine> read_log(const std::string& folder, LogSource source, const SecureBytes& key) {
  std::string all;
  const std::string path = log_path(folder, source);
  for (const auto& name : {cat(path, ".1"), path}) {
    const auto bytes = read_file(name, 2 * kMaxFile);
    if (!bytes) continue;
    ByteReader reader(as_bytes(*bytes));
    while (reader.left() > 0) {
      const auto sealed = reader.text(kMaxFile);
      if (!reader.ok()) break;  // the daemon died while it wrote this one
      if (const auto text = crypto::unseal(key, sealed, source_name(source))) all += text->view();
    }
  }
  std::string_view text = all;
  if (text.size() > kMaxBytes) {
    text.remove_prefix(text.size() - kMaxBytes);
    text.remove_prefix(std::min(text.find('\n'), text.size()));  // a line that was cut
  }
  return parse_lines(text);
}

void Journal::shorten(Part& part) {
  while (part.bytes > kMaxBytes && !part.lines.empty()) {
    part.bytes -= part.lines.front().message.size() + kLineCost;
    part.lines.pop_front();
  }
}

void Journal::add(LogSource source, LogLine line) {
  if (closed_) return;
  Part& part = of(source);
  part.feeds.push(line);
  part.unwritten += format_line(line);
  // Whoever writes is slower than what comes: the oldest is given up.
  if (part.unwritten.size() > kMaxFile) part.unwritten.erase(0, part.unwritten.size() - kMaxFile);
  part.bytes += line.message.size() + kLineCost;
  part.lines.push_back(std::move(line));
  shorten(part);
}

std::vector<LogLine> Journal::tail(LogSource source, std::size_t lines) const {
  const auto& kept = of(source).lines;
  const auto count = lines == 0 ? kept.size() : std::min(lines, kept.size());
  return {std::prev(kept.end(), static_cast<std::ptrdiff_t>(count)), kept.end()};
}

void Journal::clear() {
  for (Part* part : {&boot_, &cmd_}) {
    part->lines.clear();
    part->bytes = 0;
    part->unwritten.clear();
  }
}

void Journal::close() {
  closed_ = true;
  boot_.feeds.close();
  cmd_.feeds.close();
}

std::string Journal::take_unwritten(LogSource source) { return std::exchange(of(source).unwritten, {}); }

void Journal::restore(LogSource source, std::vector<LogLine> lines) {
  Part& part = of(source);
  for (const auto& line : lines) part.bytes += line.message.size() + kLineCost;
  part.lines.insert(part.lines.begin(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
  shorten(part);
}

}  // namespace cofferdam::workspace
