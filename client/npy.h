// NumPy's .npy files: what stands before the data.
//
// Who includes this: client/constant_value, interpctl.
//
// The form is that of versions 1.0, 2.0 and 3.0: "\x93NUMPY", the version, the length of the header, and the header, a
// Python dict of `descr`, `fortran_order` and `shape`. Arrays of records and of objects are refused: the first have no
// one dtype, the second are pickles.
#ifndef INTERPD_CLIENT_NPY_H_
#define INTERPD_CLIENT_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace interpd::client {

struct NpyHeader {
  std::string dtype;  // as NumPy writes it: "<f8"
  bool fortran_order = false;
  std::vector<int64_t> shape;  // items in each dimension; none: a single item
  size_t data_offset = 0;      // where the data begin
  size_t data_size = 0;        // what they must have, in bytes
};

// Reads the header of a file that begins with `file`. INVALID_ARGUMENT: it is no .npy file, or of a kind that is
// refused. Whether the data are there is the caller's to check.
absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view file);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_NPY_H_
