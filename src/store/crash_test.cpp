// A process that is killed in the middle of its transactions leaves whole ones, and every one it was told of.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/test_support.h"

namespace cofferdam::store {
namespace {

constexpr int kRowsEach = 20;
const Migration kBatches{"batches", 1, "CREATE TABLE rows (batch INTEGER NOT NULL, part INTEGER NOT NULL) STRICT"};

// Writes batches for ever; tells of each one that was committed.
[[noreturn]] void write_batches(const std::string& path, int told) {
  auto database = Database::open(path, {kBatches});
  if (!database) ::_exit(1);
  for (;;) {
    auto work = [](Connection& c) -> Result<std::int64_t> {
      TRY_ASSIGN(const auto last, c.query("SELECT coalesce(max(batch), 0) FROM rows"));
      const auto batch = last.front().integer(0) + 1;
      for (std::int64_t part = 0; part < kRowsEach; ++part) {
        TRY(c.execute("INSERT INTO rows (batch, part) VALUES ($1, $2)", {batch, part}));
      }
      return batch;
    };
    const auto batch = (*database)->run_now(work);
    if (!batch || ::write(told, &*batch, sizeof *batch) != sizeof *batch) ::_exit(1);
  }
}

class CrashTest : public StoreTest {
 protected:
  // Kills the writer after it told of `batches` more; answers the last it told of.
  std::int64_t kill_after(int batches) {
    int ends[2];
    if (::pipe(ends) != 0) return -1;
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      write_batches(path_, ends[1]);
    }
    ::close(ends[1]);
    std::int64_t told = 0;
    for (int i = 0; i < batches; ++i) {
      if (::read(ends[0], &told, sizeof told) != sizeof told) break;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    // What it told of between our last look and its death counts too.
    for (std::int64_t more = 0; ::read(ends[0], &more, sizeof more) == sizeof more;) told = more;
    ::close(ends[0]);
    return WIFSIGNALED(status) ? told : -1;
  }
};

TEST_F(CrashTest, killed_in_the_middle_of_transactions_leaves_whole_ones) {
  for (int round = 0; round < 8; ++round) {
    const auto told = kill_after(1 + 3 * round);
    ASSERT_GT(told, 0);
    open({kBatches});
    const auto torn =
        query("SELECT batch FROM rows GROUP BY batch HAVING count(DISTINCT part) <> $1", {std::int64_t{kRowsEach}});
    ASSERT_TRUE(torn) << torn.error().message;
    EXPECT_TRUE(torn->empty());
    const auto last = query("SELECT max(batch), count(*) FROM rows").value();
    EXPECT_GE(last.front().integer(0), told);
    EXPECT_EQ(last.front().integer(1), last.front().integer(0) * kRowsEach);
    database_.reset();
  }
}

}  // namespace
}  // namespace cofferdam::store
