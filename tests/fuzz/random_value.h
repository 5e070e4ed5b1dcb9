// Random Values for fuzz tests, and a form in which two of them can be compared although sets have no order.
#ifndef INTERPD_TESTS_FUZZ_RANDOM_VALUE_H_
#define INTERPD_TESTS_FUZZ_RANDOM_VALUE_H_

#include <random>
#include <string>

#include "channels/value.h"

namespace interpd::fuzz {

// Any shareable value, nested up to `depth` levels; each call another one.
channels::Value RandomValue(std::mt19937_64& random, int depth);

// Equal for values that Python sees as the same object graph: kinds count, the order of a set's elements does not.
std::string Canonical(const channels::Value& value);

}  // namespace interpd::fuzz

#endif  // INTERPD_TESTS_FUZZ_RANDOM_VALUE_H_
