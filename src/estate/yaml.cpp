#include "estate/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::estate {
namespace {

constexpr std::size_t kMaxNodes = 1'000'000;
constexpr std::size_t kMaxDepth = 16;

struct Refused {
  Mark mark;
  std::string why;
};

Mark place(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Builds the tree from what the parser sees, in order: a mapping's keys and values take turns.
class Builder final : public YAML::EventHandler {
 public:
  Yaml root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{place(mark), "there is a second document"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, Yaml::Kind::null); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    throw Refused{place(mark), "an alias; say it again instead"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?" is the tag of what stands there as it is.
    const bool plain = tag == "?";
    const bool null = plain && (value == "~" || value == "null" || value.empty());
    Yaml& node = add(mark, anchor, null ? Yaml::Kind::null : Yaml::Kind::scalar);
    node.text = value;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    enter(mark, anchor, Yaml::Kind::list);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    enter(mark, anchor, Yaml::Kind::map);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Open {
    Yaml* node;
    bool key_is_there = false;
  };
  Yaml& add(const YAML::Mark& mark, YAML::anchor_t anchor, Yaml::Kind kind) {
    if (anchor != 0) throw Refused{place(mark), "an anchor; nothing may refer to it"};
    if (++nodes_ > kMaxNodes) throw Refused{place(mark), "there is too much in this file"};
    Yaml& node = slot();
    node.kind = kind;
    node.mark = place(mark);
    return node;
  }
  Yaml& slot() {
    if (open_.empty()) return root;
    Open& top = open_.back();
    if (top.node->kind == Yaml::Kind::list) return top.node->items.emplace_back();
    top.key_is_there = !top.key_is_there;
    if (top.key_is_there) return top.node->entries.emplace_back().first;
    return top.node->entries.back().second;
  }
  // What is open is the last of its parent: nothing is added there before it is closed, so its place stays.
  void enter(const YAML::Mark& mark, YAML::anchor_t anchor, Yaml::Kind kind) {
    if (open_.size() >= kMaxDepth) throw Refused{place(mark), "it is nested too deep"};
    Yaml& node = add(mark, anchor, kind);
    open_.push_back({&node});
  }
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

void emit(YAML::Emitter& out, const Yaml& yaml) {
  switch (yaml.kind) {
    case Yaml::Kind::null:
      out << YAML::Null;
      return;
    case Yaml::Kind::scalar:
      if (yaml.style == Yaml::Style::quoted) out << YAML::DoubleQuoted;
      out << yaml.text;
      return;
    case Yaml::Kind::list: {
      // Lists of texts stand on one line.
      const bool flow = !yaml.items.empty() && yaml.items.front().kind == Yaml::Kind::scalar;
      if (flow) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const auto& item : yaml.items) emit(out, item);
      out << YAML::EndSeq;
      return;
    }
    case Yaml::Kind::map:
      out << YAML::BeginMap;
      for (const auto& [key, value] : yaml.entries) {
        out << YAML::Key;
        emit(out, key);
        out << YAML::Value;
        emit(out, value);
      }
      out << YAML::EndMap;
      return;
  }
}

}  // namespace

Yaml Yaml::word(std::string text) {
  Yaml yaml;
  yaml.kind = Kind::scalar;
  yaml.text = std::move(text);
  return yaml;
}

Yaml Yaml::quoted(std::string text) {
  Yaml yaml = word(std::move(text));
  yaml.style = Style::quoted;
  return yaml;
}

Yaml Yaml::list() {
  Yaml yaml;
  yaml.kind = Kind::list;
  return yaml;
}

Yaml Yaml::map() {
  Yaml yaml;
  yaml.kind = Kind::map;
  return yaml;
}

tl::unexpected<Error> bad_yaml(const std::string& file, const Mark& mark, std::string_view why) {
  return fail(Code::InvalidArgument, cat(file, ":", mark.line, ":", mark.column, ": ", why));
}

Result<Yaml> parse_yaml(std::string_view text, const std::string& file) {
  if (to_utf8(text) != text || text.find('\0') != std::string_view::npos) {
    return bad_yaml(file, {}, "this is no text in UTF-8");
  }
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder;
    while (parser.HandleNextDocument(builder)) {
    }
    return std::move(builder.root);
  } catch (const Refused& refused) {
    return bad_yaml(file, refused.mark, refused.why);
  } catch (const YAML::Exception& e) {
    return bad_yaml(file, place(e.mark), e.msg);
  }
}

std::string format_yaml(const Yaml& yaml) {
  YAML::Emitter out;
  out.SetIndent(2);
  emit(out, yaml);
  return cat(out.c_str(), "\n");
}

}  // namespace cofferdam::estate
