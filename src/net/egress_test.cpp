#include "net/egress.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "net/exposure.h"
#include "net/pair.h"

namespace cofferdam::net {
namespace {

Egress of(std::vector<std::string> entries) {
  Egress egress;
  egress.entries = std::move(entries);
  return egress;
}

const gate::Ports kWeb{{443, 443}, {80, 80}};

TEST(EgressText, a_name_without_ports_is_for_443_and_80) {
  const auto rules = compile(of({"PyPI.org."}), {}).value();
  ASSERT_EQ(rules.names.size(), 1U);
  EXPECT_EQ(rules.names[0].name, "pypi.org");
  EXPECT_EQ(rules.names[0].ports, kWeb);
  EXPECT_EQ(rules.names[0].inspect, gate::Inspect::require);
  EXPECT_EQ(rules.names[0].strict, gate::Strict::no);
}

TEST(EgressText, suffixes_ranges_ports_and_ways_to_look) {
  const auto rules =
      compile(of({"*.debian.org:80", "203.0.113.0/24:8000-8080,22", "tcp://git.example.org:22", "strict://a.example"}),
              {})
          .value();
  ASSERT_EQ(rules.names.size(), 3U);
  EXPECT_EQ(rules.names[0].name, "*.debian.org");
  EXPECT_EQ(rules.names[0].ports, (gate::Ports{{80, 80}}));
  EXPECT_EQ(rules.names[1].inspect, gate::Inspect::raw);
  EXPECT_EQ(rules.names[2].strict, gate::Strict::yes);
  ASSERT_EQ(rules.ranges.size(), 1U);
  EXPECT_EQ(rules.ranges[0].range.text(), "203.0.113.0/24");
  EXPECT_EQ(rules.ranges[0].ports, (gate::Ports{{8000, 8080}, {22, 22}}));
}

TEST(EgressText, what_is_no_destination_is_refused_by_its_place) {
  for (const char* bad : {"",
                          "localhost",
                          "0x7f.1",
                          "2130706433",
                          "127.1",
                          "1.2.3",
                          "a b.example",
                          "-",
                          "*",
                          "*.com.*",
                          "::1",
                          "[::1]:80",
                          "10.0.0.1/8",
                          "example.org:0",
                          "example.org:70000",
                          "example.org:9-8",
                          "example.org:",
                          "http://example.org",
                          "tcp://10.0.0.0/8",
                          "example.org/path",
                          "ex\nample.org",
                          "nopreset"}) {
    const auto rules = compile(of({"pypi.org", bad}), {});
    ASSERT_FALSE(rules) << bad;
    EXPECT_EQ(rules.error().code, Code::InvalidArgument) << bad;
    EXPECT_EQ(rules.error().message.substr(0, 9), "/egress/1") << bad;
  }
}

TEST(EgressText, fifty_entries_are_taken_and_no_more) {
  EXPECT_TRUE(compile(of(std::vector<std::string>(50, "pypi.org")), {}));
  EXPECT_FALSE(compile(of(std::vector<std::string>(51, "pypi.org")), {}));
}

TEST(EgressText, the_open_internet_is_open_only_without_entries) {
  Egress open;
  open.internet = model::OpenInternet();
  const auto all = compile(open, {}).value();
  ASSERT_EQ(all.names.size(), 1U);
  EXPECT_EQ(all.names[0].name, "*");
  EXPECT_EQ(all.names[0].inspect, gate::Inspect::observe);
  EXPECT_EQ(all.ranges.size(), 1U);
  open.entries = {"pypi.org"};
  const auto listed = compile(open, {}).value();
  EXPECT_EQ(listed.names[0].name, "pypi.org");
  EXPECT_TRUE(listed.ranges.empty());
  EXPECT_TRUE(compile(Egress(), {}).value().names.empty());
}

TEST(EgressText, presets_come_from_files_and_stand_for_their_lines) {
  const auto folder = std::filesystem::temp_directory_path() / "cofferdam-presets-test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "packages") << "# of a kind\npypi.org\n\n*.example.org:8443 # mirrors\n";
  const auto presets = Presets::load(folder.string()).value();
  const auto rules = compile(of({"packages"}), presets).value();
  ASSERT_EQ(rules.names.size(), 2U);
  EXPECT_EQ(rules.names[1].name, "*.example.org");
  EXPECT_EQ(presets.names(), "packages");
  std::ofstream(folder / "broken") << "pypi.org\nnot a name\n";
  const auto broken = Presets::load(folder.string());
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("broken:2"), std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(EgressText, every_preset_of_this_tree_is_good) {
  const auto presets = Presets::load(COFFER_PRESETS).value();
  for (const char* name : {"pypi", "npm", "debian", "github", "openai", "anthropic"}) {
    EXPECT_NE(presets.find(name), nullptr) << name;
    EXPECT_TRUE(compile(of({name}), presets)) << name;
  }
}

TEST(Ports, text_of_ports_reads_back_as_the_same_ports) {
  for (const char* text : {"1", "65535", "443,80", "22,8000-8080"}) {
    EXPECT_EQ(ports_text(parse_ports(text).value()), text);
  }
}

TEST(Pairs, are_neighbours_and_unlike_each_other) {
  EXPECT_EQ(pair_of(0).gateway.text(), "10.212.0.0");
  EXPECT_EQ(pair_of(0).guest.text(), "10.212.0.1");
  EXPECT_EQ(pair_of(kMaxPairs - 1).guest.text(), "10.215.255.255");
  EXPECT_EQ(mac_text(pair_of(1).mac), "02:cf:0a:d4:00:03");
}

TEST(Exposures, a_databases_port_needs_force_and_a_databases_workspace_has_none) {
  EXPECT_TRUE(may_expose(8080, Marked::no, {}));
  for (const std::uint16_t port : {5432, 3306, 6379, 27017, 9200}) {
    EXPECT_EQ(may_expose(port, Marked::no, {}).error().code, Code::FailedPrecondition);
    EXPECT_TRUE(may_expose(port, Marked::no, model::ForceExpose()));
    EXPECT_FALSE(may_expose(port, Marked::as_database, model::ForceExpose()));
  }
  EXPECT_FALSE(may_expose(8080, Marked::as_database, model::ForceExpose()));
}

}  // namespace
}  // namespace cofferdam::net
