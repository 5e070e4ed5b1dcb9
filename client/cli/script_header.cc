#include "client/cli/script_header.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.hpp>

namespace interpd::client {
namespace {

using Takes = JobOption::Takes;

constexpr std::string_view kBegin = "# /// interpd";
constexpr std::string_view kEnd = "# ///";

struct Block {
  int64_t first_line = 0;  // of `toml`, in the script, from 1
  std::string toml;
};

absl::Status ErrorAt(const std::string& name, int64_t line, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", what));
}

absl::StatusOr<std::optional<Block>> FindBlock(std::string_view script, const std::string& name) {
  std::optional<Block> found;
  std::vector<std::string_view> lines = absl::StrSplit(script, '\n');
  for (std::string_view& line : lines) line = absl::StripSuffix(line, "\r");
  for (size_t begin = 0; begin < lines.size(); ++begin) {
    if (lines[begin] != kBegin) continue;
    if (found.has_value()) return ErrorAt(name, begin + 1, "a second block of options; there may be one");
    // It reaches to the last end among the comments that follow: TOML may hold a line that looks like one.
    size_t end = begin;
    for (size_t i = begin + 1; i < lines.size() && (lines[i] == "#" || absl::StartsWith(lines[i], "# ")); ++i) {
      if (lines[i] == kEnd) end = i;
    }
    if (end == begin) return ErrorAt(name, begin + 1, "this block of options has no end; write \"# ///\" behind it");
    found.emplace().first_line = static_cast<int64_t>(begin) + 2;
    for (size_t i = begin + 1; i < end; ++i)
      absl::StrAppend(&found->toml, lines[i].substr(std::min<size_t>(2, lines[i].size())), "\n");
    begin = end;
  }
  return found;
}

// A string, a number or a time as a flag would have it.
std::optional<std::string> Text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (!node.is_integer() && !node.is_floating_point() && !node.is_date_time() && !node.is_date() && !node.is_time()) {
    return std::nullopt;
  }
  std::ostringstream out;
  node.visit([&out](const auto& value) { out << value; });
  return out.str();
}

// What the key says. An error says what it should have said.
absl::Status ReadValues(const JobOption& option, const toml::node& node, std::vector<std::string>* values) {
  if (const auto* array = node.as_array(); array != nullptr && option.takes == Takes::kMany) {
    for (const toml::node& element : *array) {
      std::optional<std::string> text = Text(element);
      if (!text.has_value()) return absl::InvalidArgumentError("this must be an array of strings");
      values->push_back(*std::move(text));
    }
    return absl::OkStatus();
  }
  std::optional<std::string> text = Text(node);
  if (!text.has_value()) {
    return absl::InvalidArgumentError(option.takes == Takes::kMany ? "this must be a string or an array of strings"
                                                                   : "this must be a string or a number");
  }
  values->push_back(*std::move(text));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobSettings> ReadScriptHeader(std::string_view script, const std::string& name,
                                             const std::string& directory) {
  JobSettings settings;
  // Editors of Windows begin files with it; Python passes over it too.
  absl::StatusOr<std::optional<Block>> block = FindBlock(absl::StripPrefix(script, "\xEF\xBB\xBF"), name);
  if (!block.ok()) return block.status();
  if (!block->has_value()) return settings;
  const auto line_of = [&](const toml::source_region& source) {
    return static_cast<int64_t>(source.begin.line) - 1 + (*block)->first_line;
  };
  toml::parse_result parsed = toml::parse((*block)->toml);
  if (!parsed) {
    return ErrorAt(name, line_of(parsed.error().source()), parsed.error().description());
  }
  // The table is in the order of the keys; an error is about the first line that has one.
  std::vector<std::pair<const toml::key*, const toml::node*>> entries;
  for (auto&& [key, node] : parsed.table()) entries.push_back({&key, &node});
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first->source().begin < b.first->source().begin; });
  for (const auto& [key, node] : entries) {
    const int64_t line = line_of(key->source());
    const auto options = JobOptions();
    const auto option =
        std::find_if(options.begin(), options.end(), [&](const JobOption& one) { return one.name == key->str(); });
    if (option == options.end()) {
      return ErrorAt(name, line,
                     absl::StrCat("there is no option \"", key->str(),
                                  "\"; the keys are the long options of `interpctl job submit`"));
    }
    JobSetting setting{.where = absl::StrCat(name, ":", line, ": ", key->str()), .directory = directory};
    if (option->takes == Takes::kNothing) {
      if (!node->is_boolean()) return ErrorAt(name, line, absl::StrCat(key->str(), ": this must be true or false"));
      if (!node->ref<bool>()) continue;
    } else if (absl::Status status = ReadValues(*option, *node, &setting.values); !status.ok()) {
      return ErrorAt(name, line, absl::StrCat(key->str(), ": ", status.message()));
    }
    if (option->takes == Takes::kMany && setting.values.empty()) continue;
    settings.emplace(option->name, std::move(setting));
  }
  return settings;
}

}  // namespace interpd::client
