#include "client/npy.h"

#include <cctype>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace interpd::client {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxDimensions = 64;  // NumPy's own limit

absl::Status NotNpy(std::string_view why) { return absl::InvalidArgumentError(absl::StrCat("no .npy file: ", why)); }

// Reads the Python literals of a header, one after the other.
class Literals {
 public:
  explicit Literals(std::string_view text) : rest_(text) {}

  // Whether `token` comes next; then it is read.
  bool Take(std::string_view token) {
    SkipSpace();
    return absl::ConsumePrefix(&rest_, token);
  }

  // A string without escapes: NumPy writes no others.
  std::optional<std::string> TakeString() {
    SkipSpace();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return std::nullopt;
    const size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(rest_.substr(1, end - 1));
    if (text.find('\\') != std::string::npos) return std::nullopt;
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::optional<bool> TakeBool() {
    if (Take("True")) return true;
    if (Take("False")) return false;
    return std::nullopt;
  }

  // (), (3,), (3, 4), with Python 2's "3L".
  std::optional<std::vector<int64_t>> TakeShape() {
    if (!Take("(")) return std::nullopt;
    std::vector<int64_t> shape;
    while (!Take(")")) {
      SkipSpace();
      size_t digits = 0;
      while (digits < rest_.size() && absl::ascii_isdigit(rest_[digits])) ++digits;
      int64_t count = 0;
      if (!absl::SimpleAtoi(rest_.substr(0, digits), &count)) return std::nullopt;
      rest_.remove_prefix(digits);
      (void)absl::ConsumePrefix(&rest_, "L");
      shape.push_back(count);
      if (!Take(",")) {
        if (!Take(")")) return std::nullopt;
        break;
      }
    }
    return shape;
  }

  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }

 private:
  void SkipSpace() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }

  std::string_view rest_;
};

// Bytes of an item of that dtype: a byte order, a kind, a count of bytes or characters, and of times a unit.
absl::StatusOr<int64_t> ItemSize(std::string_view dtype) {
  const auto refused = [&](std::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("an array of dtype \"", dtype, "\" ", why));
  };
  constexpr std::string_view kUnknown = "is of no kind that is known here";
  std::string_view rest = dtype;
  if (rest.size() < 2 || std::string_view("<>|=").find(rest[0]) == std::string_view::npos) return refused(kUnknown);
  const char kind = rest[1];
  rest.remove_prefix(2);
  if (kind == 'O') return refused("holds Python objects, as pickles; save it with another dtype");
  if (std::string_view("biufcmMSUV").find(kind) == std::string_view::npos) return refused(kUnknown);
  size_t digits = 0;
  while (digits < rest.size() && absl::ascii_isdigit(rest[digits])) ++digits;
  int64_t size = 0;
  if (!absl::SimpleAtoi(rest.substr(0, digits), &size)) return refused(kUnknown);
  rest.remove_prefix(digits);
  const bool time = kind == 'm' || kind == 'M';
  if (!rest.empty() && !(time && rest.front() == '[' && rest.back() == ']')) return refused(kUnknown);
  constexpr int64_t kMaxItem = std::numeric_limits<int32_t>::max();  // NumPy's own
  if (size > kMaxItem) return refused("has items that are too large");
  return kind == 'U' ? 4 * size : size;
}

// The product, if it fits.
std::optional<size_t> DataSize(const std::vector<int64_t>& shape, int64_t item_size) {
  size_t size = static_cast<size_t>(item_size);
  for (int64_t count : shape) {
    if (count == 0) return 0;
  }
  for (int64_t count : shape) {
    if (__builtin_mul_overflow(size, static_cast<size_t>(count), &size)) return std::nullopt;
  }
  return size;
}

absl::StatusOr<std::string_view> HeaderText(std::string_view file, size_t* data_offset) {
  if (!absl::ConsumePrefix(&file, kMagic) || file.size() < 2) return NotNpy("it does not begin with \"\\x93NUMPY\"");
  const auto major = static_cast<unsigned char>(file[0]);
  if (major < 1 || major > 3) return NotNpy(absl::StrCat("its version is ", major, ", not 1 to 3"));
  file.remove_prefix(2);
  const size_t length_bytes = major == 1 ? 2 : 4;
  size_t length = 0;
  for (size_t i = 0; i < length_bytes && i < file.size(); ++i) {
    length |= static_cast<size_t>(static_cast<unsigned char>(file[i])) << (8 * i);
  }
  if (file.size() < length_bytes || file.size() - length_bytes < length) return NotNpy("its header is cut off");
  *data_offset = kMagic.size() + 2 + length_bytes + length;
  return file.substr(length_bytes, length);
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view file) {
  NpyHeader header;
  absl::StatusOr<std::string_view> text = HeaderText(file, &header.data_offset);
  if (!text.ok()) return text.status();
  Literals literals(*text);
  std::optional<std::string> dtype;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
  bool well_formed = literals.Take("{");
  while (well_formed && !literals.Take("}")) {
    const std::optional<std::string> key = literals.TakeString();
    well_formed = key && literals.Take(":");
    if (!well_formed) break;
    if (*key == "descr") {
      if (literals.Take("["))
        return absl::InvalidArgumentError("an array of records has no one dtype; save its fields");
      well_formed = !dtype && (dtype = literals.TakeString());
    } else if (*key == "fortran_order") {
      well_formed = !fortran_order && (fortran_order = literals.TakeBool());
    } else if (*key == "shape") {
      well_formed = !shape && (shape = literals.TakeShape());
    } else {
      well_formed = false;
    }
    if (well_formed && !literals.Take(",")) {
      well_formed = literals.Take("}");
      break;
    }
  }
  if (!well_formed || !literals.AtEnd() || !dtype || !fortran_order || !shape) {
    return NotNpy("its header is no dict of descr, fortran_order and shape");
  }
  if (shape->size() > kMaxDimensions) return NotNpy(absl::StrCat("it has more than ", kMaxDimensions, " dimensions"));
  absl::StatusOr<int64_t> item_size = ItemSize(*dtype);
  if (!item_size.ok()) return item_size.status();
  std::optional<size_t> data_size = DataSize(*shape, *item_size);
  if (!data_size) return NotNpy("its shape is larger than any memory");
  header.dtype = *std::move(dtype);
  header.fortran_order = *fortran_order;
  header.shape = *std::move(shape);
  header.data_size = *data_size;
  return header;
}

}  // namespace interpd::client
