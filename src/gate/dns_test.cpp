#include <gtest/gtest.h>

#include "gate/dns_message.h"
#include "gate/dns_server.h"
#include "gate/synthetic_addresses.h"

namespace cofferdam::gate {
namespace {

using namespace std::string_literals;

Address address(std::string_view text) { return Address::parse(text).value(); }
Cidr range(std::string_view text) { return Cidr::parse(text).value(); }

std::string labels(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const auto dot = name.find('.');
    const auto label = name.substr(0, dot);
    wire.push_back(static_cast<char>(label.size()));
    wire += label;
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  wire.push_back('\0');
  return wire;
}

std::string number(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }

std::string query(std::string_view name, unsigned type = 1, unsigned flags = 0x0100) {
  return "\x12\x34"s + number(flags) + number(1) + number(0) + number(0) + number(0) + labels(name) + number(type) +
         number(1);
}

unsigned code_of(const std::string& answer) { return static_cast<std::uint8_t>(answer.at(3)) & 0x0f; }
unsigned answers_in(const std::string& answer) { return static_cast<std::uint8_t>(answer.at(7)); }
std::string address_in(const std::string& answer) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(answer.data() + answer.size() - 4);
  return Address::v4({bytes[0], bytes[1], bytes[2], bytes[3]}).text();
}

Policy policy() {
  Policy made;
  NameRule exact;
  exact.name = "pypi.org";
  exact.ports = {{443, 443}};
  NameRule suffix = exact;
  suffix.name = "*.debian.org";
  made.names = {exact, suffix};
  made.links = {{"db.internal", address("10.64.0.6"), {{5432, 5432}}, "ws_b"}};
  return made;
}

struct Dns {
  Policy rules = policy();
  Settings settings;
  SyntheticAddresses addresses{range("198.18.0.0/16")};
  DnsReply ask(const std::string& packet) { return answer_dns(as_bytes(packet), rules, settings, addresses); }
};

TEST(DnsMessage, a_plain_question_is_read) {
  const auto packet = query("PyPI.org");
  const auto question = parse_dns_query(as_bytes(packet));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->name, "pypi.org");
  EXPECT_EQ(question->type, 1);
  EXPECT_EQ(question->id, 0x1234);
}

TEST(DnsMessage, what_is_no_plain_question_is_not_read) {
  const auto refused = [](const std::string& packet) { return !parse_dns_query(as_bytes(packet)); };
  const auto good = query("a.example");
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_TRUE(refused(good.substr(0, n))) << n;
  EXPECT_TRUE(refused(good + "x"));
  EXPECT_TRUE(refused(query("a.example", 1, 0x8100)));  // an answer
  EXPECT_TRUE(refused(query("a.example", 1, 0x2100)));  // another operation
  EXPECT_TRUE(refused(query("a.example", 1, 0x0300)));  // cut
  auto two = good;
  two[5] = 2;
  EXPECT_TRUE(refused(two + labels("b.example") + number(1) + number(1)));
  auto chaos = good;
  chaos[chaos.size() - 1] = 3;
  EXPECT_TRUE(refused(chaos));
  const auto header = good.substr(0, 12);
  EXPECT_TRUE(refused(header + "\xc0\x0c"s + number(1) + number(1)));         // a pointer to itself
  EXPECT_TRUE(refused(header + "\x40"s + "a\0"s + number(1) + number(1)));    // a label type nobody uses
  EXPECT_TRUE(refused(header + "\x3f"s + "abc\0"s + number(1) + number(1)));  // a label past the end
  std::string long_name;
  for (int i = 0; i < 60; ++i) long_name += "abcd.";
  EXPECT_TRUE(refused(query(long_name + "x")));
  EXPECT_TRUE(refused(good + std::string(600, '\0')));
}

TEST(DnsMessage, one_record_beside_it_may_be_edns_and_nothing_else) {
  auto with_opt = query("a.example") + "\0"s + number(41) + number(4096) + "\0\0\0\0"s + number(3) + "xyz";
  with_opt[11] = 1;
  const auto question = parse_dns_query(as_bytes(with_opt));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->edns, DnsQuestion::Edns::yes);
  const auto answer = build_dns_answer(*question, DnsCode::no_error, address("198.18.0.9"), 30);
  EXPECT_EQ(answer.size(), 12 + question->wire.size() + 16 + 11);
  auto other = query("a.example") + "\0"s + number(1) + number(1) + "\0\0\0\0"s + number(4) + "abcd";
  other[11] = 1;
  EXPECT_FALSE(parse_dns_query(as_bytes(other)));
}

TEST(DnsServer, an_allowed_name_gets_an_address_that_means_it) {
  Dns dns;
  const auto reply = dns.ask(query("PyPI.ORG"));
  EXPECT_EQ(reply.refused, FlowReason::none);
  EXPECT_EQ(code_of(reply.packet), 0);
  EXPECT_EQ(answers_in(reply.packet), 1);
  EXPECT_EQ(dns.addresses.name_of(address(address_in(reply.packet))), "pypi.org");
  EXPECT_EQ(address_in(dns.ask(query("pypi.org")).packet), address_in(reply.packet));
  EXPECT_NE(address_in(dns.ask(query("deb.debian.org")).packet), address_in(reply.packet));
}

TEST(DnsServer, ipv6_and_service_records_are_empty) {
  Dns dns;
  for (const unsigned type : {28U, 64U, 65U}) {
    const auto reply = dns.ask(query("pypi.org", type));
    EXPECT_EQ(reply.refused, FlowReason::none);
    EXPECT_EQ(code_of(reply.packet), 0) << type;
    EXPECT_EQ(answers_in(reply.packet), 0) << type;
  }
}

TEST(DnsServer, other_names_do_not_exist) {
  Dns dns;
  for (const auto* name : {"evil.example", "debian.org", "xpypi.org", "pypi.org.evil.example", "internal", ""}) {
    const auto reply = dns.ask(query(name));
    EXPECT_EQ(reply.refused, FlowReason::dns_name) << name;
    EXPECT_EQ(code_of(reply.packet), 3) << name;
    EXPECT_EQ(answers_in(reply.packet), 0) << name;
  }
  EXPECT_EQ(dns.addresses.size(), 0U);
}

TEST(DnsServer, other_types_are_refused_even_for_an_allowed_name) {
  Dns dns;
  for (const unsigned type : {2U, 5U, 6U, 10U, 12U, 15U, 16U, 33U, 252U, 255U}) {  // NS … NULL … TXT, SRV, AXFR, ANY
    const auto reply = dns.ask(query("pypi.org", type));
    EXPECT_EQ(reply.refused, FlowReason::dns_type) << type;
    EXPECT_EQ(code_of(reply.packet), 3) << type;
  }
}

TEST(DnsServer, odd_bytes_in_a_name_match_not_even_everything) {
  Dns dns;
  dns.rules.names[0].name = "*";
  EXPECT_EQ(dns.ask(query("a b.example")).refused, FlowReason::dns_name);
  EXPECT_EQ(dns.ask(query("a\xff.example")).refused, FlowReason::dns_name);
  EXPECT_EQ(dns.ask(query("a?.example")).refused, FlowReason::dns_name);
  EXPECT_EQ(dns.ask(query("any.example")).refused, FlowReason::none);
}

TEST(DnsServer, a_links_name_is_its_address) {
  Dns dns;
  dns.settings.denied_names = {"*"};
  EXPECT_EQ(address_in(dns.ask(query("db.internal")).packet), "10.64.0.6");
  EXPECT_EQ(dns.ask(query("pypi.org")).refused, FlowReason::denied_by_operator);
}

TEST(SyntheticAddresses, a_name_has_the_same_address_after_a_restart) {
  SyntheticAddresses one(range("198.18.0.0/16"));
  SyntheticAddresses other(range("198.18.0.0/16"));
  const auto first = one.assign("pypi.org");
  other.assign("deb.debian.org");
  EXPECT_EQ(other.assign("pypi.org"), first);
}

TEST(SyntheticAddresses, the_table_is_bounded_and_the_oldest_makes_room) {
  SyntheticAddresses table(range("198.18.0.0/24"));
  const auto kept = table.assign("kept.example");
  const auto dropped = table.assign("dropped.example");
  for (std::size_t i = 0; i < 10 * table.capacity(); ++i) {
    const auto address = table.assign("n" + std::to_string(i) + ".example");
    EXPECT_TRUE(table.contains(address));
    EXPECT_EQ(table.name_of(address), "n" + std::to_string(i) + ".example");
    EXPECT_EQ(table.assign("kept.example"), kept);
  }
  EXPECT_EQ(table.size(), table.capacity());
  EXPECT_NE(table.name_of(dropped), "dropped.example");
  EXPECT_FALSE(table.name_of(address("198.18.0.0")));
  EXPECT_FALSE(table.name_of(address("198.18.0.255")));
  EXPECT_FALSE(table.name_of(address("198.18.1.1")));
}

}  // namespace
}  // namespace cofferdam::gate
