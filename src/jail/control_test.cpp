#include "jail/control.h"

#include <gtest/gtest.h>

#include <vector>

namespace cofferdam::jail {
namespace {

TEST(JailControl, requests_round_trip_and_refuse_every_cut) {
  const std::vector<Request> requests = {SetTtl{1500}, SetLease{Lease::keep_on_loss}, Kill{}, QueryStatus{},
                                         SetLimits{1ULL << 30, 250}};
  for (const auto& request : requests) {
    const auto bytes = encode(request);
    const auto decoded = decode_request(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, request);
    for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_request(bytes.substr(0, n)));
    EXPECT_FALSE(decode_request(bytes + "x"));
    EXPECT_FALSE(decode_event(bytes));
  }
}

TEST(JailControl, events_round_trip_and_refuse_every_cut) {
  const std::vector<Event> events = {
      Started{4321, 2500}, SetupFailed{"mounts", Code::PermissionDenied, "bind '/x': Operation not permitted", "hint"},
      Exited{1, 0, ExitReason::oom, "", "qemu: bad\n"}, StatusReply{77, 999, Lease::keep_on_loss}, LimitsSet{"why"}};
  for (const auto& event : events) {
    const auto bytes = encode(event);
    const auto decoded = decode_event(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, event);
    for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_event(bytes.substr(0, n)));
    EXPECT_FALSE(decode_event(bytes + "x"));
    EXPECT_FALSE(decode_request(bytes));
  }
}

TEST(JailControl, an_exit_keeps_the_end_of_a_long_output) {
  Exited exited;
  exited.output_tail = std::string(10000, 'a') + "end";
  const auto decoded = decode_event(encode(Event(exited)));
  ASSERT_TRUE(decoded);
  const auto& tail = std::get<Exited>(*decoded).output_tail;
  EXPECT_EQ(tail.size(), kMaxStderrTail);
  EXPECT_EQ(tail.substr(tail.size() - 3), "end");
}

}  // namespace
}  // namespace cofferdam::jail
