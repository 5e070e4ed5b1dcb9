#include "daemon/job_page_token.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/log/check.h"
#include "absl/strings/escaping.h"

namespace interpd::daemon {
namespace {

// A block of AES: the number, and zeros by which a token is known to be ours.
using Block = std::array<unsigned char, 16>;

const Block& Key() {
  static const Block key = [] {
    Block bits;
    CHECK_EQ(getrandom(bits.data(), bits.size(), 0), static_cast<ssize_t>(bits.size())) << std::strerror(errno);
    return bits;
  }();
  return key;
}

enum Way { kDecrypt = 0, kEncrypt = 1 };

Block Crypt(const Block& in, Way way) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  CHECK(context != nullptr);
  Block out;
  int length = 0;
  // One block, each number once: that is what ECB is good for.
  CHECK(EVP_CipherInit_ex(context, EVP_aes_128_ecb(), nullptr, Key().data(), nullptr, way) == 1 &&
        EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
        EVP_CipherUpdate(context, out.data(), &length, in.data(), static_cast<int>(in.size())) == 1 &&
        length == static_cast<int>(out.size()));
  EVP_CIPHER_CTX_free(context);
  return out;
}

}  // namespace

std::string EncodeJobPageToken(int64_t row) {
  Block block{};
  std::memcpy(block.data(), &row, sizeof(row));
  const Block token = Crypt(block, kEncrypt);
  return absl::BytesToHexString({reinterpret_cast<const char*>(token.data()), token.size()});
}

std::optional<int64_t> DecodeJobPageToken(std::string_view token) {
  std::string bytes;
  Block block;
  if (token.size() != 2 * block.size() || !absl::HexStringToBytes(token, &bytes)) return std::nullopt;
  std::memcpy(block.data(), bytes.data(), block.size());
  block = Crypt(block, kDecrypt);
  int64_t row, zeros;
  std::memcpy(&row, block.data(), sizeof(row));
  std::memcpy(&zeros, block.data() + sizeof(row), sizeof(zeros));
  if (zeros != 0 || row <= 0) return std::nullopt;
  return row;
}

}  // namespace interpd::daemon
