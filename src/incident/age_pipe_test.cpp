#include "incident/age_pipe.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "loop/deadline.h"

namespace cofferdam::incident {
namespace {

using namespace std::chrono_literals;

class AgePipeTest : public testing::Test {
 protected:
  AgePipeTest() { ::signal(SIGPIPE, SIG_IGN); }  // as the daemon does
  template <class T>
  Result<T> run(Task<T> task) {
    std::optional<Result<T>> answer;
    loop::asio::co_spawn(io_, loop::with_deadline(std::move(task), 60s, "the test"),
                         [&](const std::exception_ptr& thrown, Result<T> result) {
                           if (thrown) std::rethrow_exception(thrown);
                           answer = std::move(result);
                         });
    io_.restart();
    while (!answer) io_.run_one();
    return std::move(*answer);
  }
  static Task<std::string> all_of(EvidenceBytes bytes) {
    std::string all;
    for (;;) {
      CO_TRY_ASSIGN(const auto piece, co_await bytes());
      if (piece.empty()) co_return all;
      all += piece;
    }
  }
  // Pieces, then an error if there is one.
  static EvidenceBytes source(std::size_t pieces, std::optional<Error> error = {}) {
    auto left = std::make_shared<std::size_t>(pieces);
    return [left, error]() -> Task<std::string> {
      if (*left > 0) {
        --*left;
        co_return std::string(kPiece, 'x');
      }
      if (error) co_return fail(*error);
      co_return std::string();
    };
  }
  Result<EvidenceBytes> through(std::vector<std::string> argv, EvidenceBytes from) {
    return through_program(io_.get_executor(), tasks_, std::move(argv), std::move(from));
  }
  ~AgePipeTest() override { EXPECT_TRUE(run(tasks_.join())); }

  static constexpr std::size_t kPiece = 100'000;
  loop::asio::io_context io_;
  loop::TaskGroup tasks_{io_.get_executor()};
};

TEST_F(AgePipeTest, what_goes_in_comes_out_and_pipes_hold_back) {
  auto bytes = through({"cat"}, source(100)).value();
  const auto all = run(all_of(std::move(bytes)));
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->size(), 100 * kPiece);
}

TEST_F(AgePipeTest, a_source_that_fails_ends_what_was_begun_with_its_own_error) {
  auto bytes = through({"cat"}, source(3, Error{Code::DataLoss, "block 7 was changed", {}})).value();
  const auto all = run(all_of(std::move(bytes)));
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().message, "block 7 was changed");
}

TEST_F(AgePipeTest, a_program_that_fails_says_why_itself) {
  auto bytes = through({"sh", "-c", "head -c 10 >/dev/null; echo no such key >&2; exit 3"}, source(100)).value();
  const auto all = run(all_of(std::move(bytes)));
  ASSERT_FALSE(all);
  EXPECT_NE(all.error().message.find("status 3: no such key"), std::string::npos) << all.error().message;
  EXPECT_FALSE(through({"/no/such/program"}, source(1)));
}

TEST_F(AgePipeTest, a_reader_that_goes_takes_the_program_along) {
  auto bytes = through({"cat"}, source(1'000'000'000)).value();
  ASSERT_TRUE(run(bytes()));
  // Nothing is left for the group to wait for.
  bytes = {};
  EXPECT_TRUE(run(tasks_.join()));
}

}  // namespace
}  // namespace cofferdam::incident
