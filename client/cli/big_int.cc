#include "client/cli/big_int.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace interpd::client {
namespace {

// So many decimal digits are carried through the number at once: 10^9 fits 32 bits, and its product with a limb 64.
constexpr size_t kChunkDigits = 9;
constexpr uint32_t kChunk = 1'000'000'000;

// Adds one to a two's complement number whose bits were all flipped.
void Negate(std::string& bytes) {
  bool carry = true;
  for (char& byte : bytes) {
    byte = static_cast<char>(~byte + (carry ? 1 : 0));
    carry = carry && byte == 0;
  }
}

}  // namespace

std::string BigIntFromDecimal(std::string_view decimal) {
  const bool negative = decimal.substr(0, 1) == "-";
  if (negative) decimal.remove_prefix(1);

  std::vector<uint32_t> limbs;  // the magnitude, the lowest first
  for (size_t begin = 0, length; begin < decimal.size(); begin += length) {
    // A first chunk of what is over, so that all the others are whole.
    length = begin == 0 && decimal.size() % kChunkDigits != 0 ? decimal.size() % kChunkDigits : kChunkDigits;
    uint64_t carry = 0;
    for (char digit : decimal.substr(begin, length)) carry = carry * 10 + (digit - '0');
    for (uint32_t& limb : limbs) {
      carry += uint64_t{limb} * kChunk;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
  }

  std::string bytes;
  for (uint32_t limb : limbs) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(limb >> shift);
  }
  bytes += '\0';  // the sign
  if (negative) Negate(bytes);
  // A byte that only repeats the sign of the one below it says nothing.
  while (bytes.size() > 1) {
    const bool below_is_negative = (bytes[bytes.size() - 2] & 0x80) != 0;
    if (bytes.back() != (below_is_negative ? '\xff' : '\0')) break;
    bytes.pop_back();
  }
  return bytes;
}

std::string BigIntToDecimal(std::string_view bytes) {
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  std::string magnitude(bytes);
  if (negative) Negate(magnitude);

  std::vector<uint32_t> limbs((magnitude.size() + 3) / 4);
  for (size_t i = 0; i < magnitude.size(); ++i) {
    limbs[i / 4] |= uint32_t{static_cast<unsigned char>(magnitude[i])} << (i % 4 * 8);
  }
  std::vector<uint32_t> chunks;  // of nine digits, the lowest first
  while (true) {
    while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
    if (limbs.empty()) break;
    uint64_t remainder = 0;
    for (size_t i = limbs.size(); i-- > 0;) {
      remainder = remainder << 32 | limbs[i];
      limbs[i] = static_cast<uint32_t>(remainder / kChunk);
      remainder %= kChunk;
    }
    chunks.push_back(static_cast<uint32_t>(remainder));
  }
  if (chunks.empty()) return "0";
  std::string decimal = absl::StrCat(negative ? "-" : "", chunks.back());
  for (size_t i = chunks.size() - 1; i-- > 0;) absl::StrAppendFormat(&decimal, "%09d", chunks[i]);
  return decimal;
}

}  // namespace interpd::client
