#include "runtime/tar.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/text.h"
#include "loop/run.h"
#include "runtime/tar_feed.h"

namespace cofferdam::runtime {
namespace {

using namespace std::chrono_literals;

TarEntry entry_of(TarEntry::Type type, std::string path, std::string target = {}) {
  TarEntry entry;
  entry.type = type;
  entry.path = std::move(path);
  entry.link_target = std::move(target);
  return entry;
}

std::string archive_of(const std::vector<TarEntry>& entries, const std::string& content = {}) {
  TarWriter writer;
  for (TarEntry entry : entries) {
    if (entry.type == TarEntry::Type::file) entry.size = content.size();
    EXPECT_TRUE(writer.begin(entry));
    EXPECT_TRUE(writer.data(entry.type == TarEntry::Type::file ? content : ""));
  }
  EXPECT_TRUE(writer.finish());
  return writer.take();
}

struct Read {
  std::vector<std::string> lines;
  std::string error;
};
Read read_all(const std::string& bytes, std::size_t piece) {
  Read read;
  std::string_view rest = bytes;
  auto reader = TarReader::open([&]() -> Result<std::string_view> {
    const std::string_view next = rest.substr(0, piece);
    rest.remove_prefix(next.size());
    return next;
  });
  if (!reader) return {{}, reader.error().message};
  for (;;) {
    auto entry = (*reader)->next();
    if (!entry) {
      read.error = entry.error().message;
      return read;
    }
    if (!*entry) return read;
    std::size_t size = 0;
    for (;;) {
      auto bytes_of = (*reader)->data();
      if (!bytes_of || bytes_of->empty()) break;
      size += bytes_of->size();
    }
    read.lines.push_back(
        cat(static_cast<int>((*entry)->type), " ", (*entry)->path, " ", (*entry)->link_target, " ", size));
  }
}

using Type = TarEntry::Type;

TEST(Tar, owners_are_numbers_and_what_is_none_is_nobodys) {
  const auto read_back = [](std::uint32_t uid, std::uint32_t gid) {
    TarEntry entry = entry_of(Type::folder, "a");
    entry.uid = uid;
    entry.gid = gid;
    entry.mode = 02750;
    std::string bytes = archive_of({entry});
    auto reader = TarReader::open([&bytes, given = false]() mutable -> Result<std::string_view> {
      return std::exchange(given, true) ? std::string_view() : std::string_view(bytes);
    });
    return (*reader)->next().value().value();
  };
  const auto kept = read_back(1000, 4'294'967'294);
  EXPECT_EQ(kept.uid, 1000U);
  EXPECT_EQ(kept.gid, 4'294'967'294);
  EXPECT_EQ(kept.mode, 02750U);
  EXPECT_EQ(read_back(UINT32_MAX, 0).uid, 65534U);
}

TEST(Tar, what_is_written_is_read_again_in_pieces_of_any_size) {
  const std::string bytes = archive_of({entry_of(Type::folder, "a"), entry_of(Type::file, "a/b\xc3\xa4"),
                                        entry_of(Type::symlink, "a/l", "../x"), entry_of(Type::hard_link, "h", "a/b")},
                                       std::string(200'000, 'x'));
  const std::vector<std::string> expected{"1 a  0", "0 a/b\xc3\xa4  200000", "2 a/l ../x 0", "3 h a/b 0"};
  for (const std::size_t piece : {1U, 7U, 512U, 1U << 20}) {
    const auto read = read_all(bytes, piece);
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.lines, expected);
  }
}

TEST(Tar, a_file_that_gives_less_is_filled_up_and_more_is_cut) {
  TarWriter writer;
  TarEntry entry = entry_of(Type::file, "less");
  entry.size = 100;
  ASSERT_TRUE(writer.begin(entry));
  ASSERT_TRUE(writer.data("abc"));
  entry.path = "more";
  ASSERT_TRUE(writer.begin(entry));
  ASSERT_TRUE(writer.data(std::string(200, 'm')));
  ASSERT_TRUE(writer.finish());
  EXPECT_EQ(read_all(writer.take(), 100).lines, (std::vector<std::string>{"0 less  100", "0 more  100"}));
}

TEST(Tar, leading_slashes_fall_away_and_dots_are_refused) {
  EXPECT_EQ(read_all(archive_of({entry_of(Type::file, "/etc//./x")}), 99).lines,
            std::vector<std::string>{"0 etc/x  0"});
  EXPECT_NE(read_all(archive_of({entry_of(Type::file, "a/../../x")}), 99).error.find("'a/../../x'"), std::string::npos);
  EXPECT_NE(read_all(archive_of({entry_of(Type::hard_link, "h", "../shadow")}), 99).error.find("'..'"),
            std::string::npos);
}

TEST(Tar, damage_is_an_error) {
  const std::string bytes = archive_of({entry_of(Type::file, "a")}, std::string(100'000, 'x'));
  EXPECT_NE(read_all(bytes.substr(0, bytes.size() / 2), 99).lines.size() + read_all("rubbish", 99).error.size(), 0U);
  EXPECT_NE(read_all("this is no archive at all, but some text", 99).error, "");
  EXPECT_EQ(read_all("", 99).error, "");
}

TEST(Tar, links_that_lead_out_are_told_apart) {
  EXPECT_TRUE(check_symlink("/data", "a/l", "b"));
  EXPECT_TRUE(check_symlink("/data", "a/l", "../b"));
  EXPECT_TRUE(check_symlink("/data", "a/l", "/data/x"));
  EXPECT_FALSE(check_symlink("/data", "a/l", "../../b"));
  EXPECT_FALSE(check_symlink("/data", "l", ".."));
  EXPECT_FALSE(check_symlink("/data", "l", "x/../../data/y"));
  EXPECT_FALSE(check_symlink("/data", "l", "/etc/passwd"));
  EXPECT_FALSE(check_symlink("/data", "l", "/data/../etc"));
  EXPECT_FALSE(check_symlink("/data", "l", "/database"));
  EXPECT_TRUE(check_symlink("/", "l", "/etc/passwd"));
  EXPECT_TRUE(check_symlink("/", "bin/l", "../usr/bin/x"));
}

class TarFeedTest : public ::testing::Test {
 public:
  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task), 20s);
  }
  loop::asio::io_context io_;
  loop::TaskGroup group_{io_.get_executor()};
  loop::WorkerPool workers_{1};
};

TEST_F(TarFeedTest, an_archive_that_comes_slowly_is_unpacked_as_it_comes) {
  const std::string bytes =
      archive_of({entry_of(Type::file, "big"), entry_of(Type::folder, "f")}, std::string(3U << 20, 'x'));
  std::string_view rest = bytes;
  auto source = [&rest]() -> Task<std::string> {
    std::string next(rest.substr(0, 1000));
    rest.remove_prefix(next.size());
    co_return next;
  };
  {
    TarFeed feed(group_, workers_, source);
    std::size_t size = 0;
    std::vector<std::string> paths;
    for (;;) {
      auto item = run(feed.next());
      ASSERT_TRUE(item) << item.error().message;
      if (!*item) break;
      if (auto* piece = std::get_if<std::string>(&**item)) size += piece->size();
      if (auto* entry = std::get_if<TarEntry>(&**item)) paths.push_back(entry->path);
    }
    EXPECT_EQ(size, 3U << 20);
    EXPECT_EQ(paths, (std::vector<std::string>{"big", "f"}));
  }
  EXPECT_TRUE(run(group_.join()));
}

TEST_F(TarFeedTest, the_thread_ends_when_nobody_wants_the_archive_any_more) {
  const std::string bytes = archive_of({entry_of(Type::file, "big")}, std::string(10U << 20, 'x'));
  std::string_view rest = bytes;
  auto source = [&rest]() -> Task<std::string> {
    std::string next(rest.substr(0, 1000));
    rest.remove_prefix(next.size());
    co_return next;
  };
  {
    TarFeed feed(group_, workers_, source);
    ASSERT_TRUE(run(feed.next()));
  }
  EXPECT_TRUE(run(group_.join()));
}

TEST_F(TarFeedTest, a_source_that_breaks_is_the_error) {
  auto source = []() -> Task<std::string> { co_return fail(Code::Unavailable, "the client has gone"); };
  {
    TarFeed feed(group_, workers_, source);
    const auto item = run(feed.next());
    ASSERT_FALSE(item);
    EXPECT_EQ(item.error().code, Code::Unavailable);
  }
  EXPECT_TRUE(run(group_.join()));
}

}  // namespace
}  // namespace cofferdam::runtime
