// The form of a bundle: a tar file of one narrow kind (ustar, plain files, nothing about them but name and size), so
// that any tar lists and unpacks it, and every byte of it is either content or what it must be.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::evidence {

inline constexpr std::size_t kMaxName = 99;
inline constexpr std::size_t kMaxMembers = 4096;

// Lower-case letters, digits, '-', '_', '.' and '/' between parts that are neither empty nor "." nor "..".
bool is_member_name(std::string_view name);

// What stands before and behind the content of a member, and behind the last one. `name` must be a member's name.
std::string member_head(std::string_view name, std::uint64_t size);
std::string member_tail(std::uint64_t size);
std::string bundle_end();

// Hears what a bundle holds, in its order. An error ends the reading.
class MemberSink {
 public:
  virtual ~MemberSink() = default;
  virtual Status begin(const std::string& name, std::uint64_t size) = 0;
  virtual Status bytes(std::string_view piece) = 0;
  virtual Status end() = 0;
};

// Takes a bundle piece by piece, as large as they come. Hostile bytes.
class BundleReader {
 public:
  // `sink` outlives the reader.
  explicit BundleReader(MemberSink& sink) : sink_(sink) {}
  // DataLoss names the place: "behind 'console/boot.log', at byte 4096". After an error nothing more is taken.
  Status feed(std::string_view bytes);
  // Nothing more will come. DataLoss: the bundle is cut off.
  Status finish();
  // Of the member that is being read, or was read last; empty: none yet.
  [[nodiscard]] const std::string& member() const { return member_; }

 private:
  enum class State { head, content, tail, second_end, over };
  Status take_head();
  [[nodiscard]] tl::unexpected<Error> wrong(std::string_view why) const;

  MemberSink& sink_;
  State state_ = State::head;
  std::string head_, member_;
  std::uint64_t left_ = 0;  // of the content, or of the zeros behind it
  std::uint64_t size_ = 0;
  std::uint64_t place_ = 0;  // bytes taken
  std::size_t members_ = 0;
};

}  // namespace cofferdam::evidence
