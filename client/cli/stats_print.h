// The daemon's statistics as tables for people.
//
// Who includes this: the stats command, and its test.
#ifndef INTERPD_CLIENT_CLI_STATS_PRINT_H_
#define INTERPD_CLIENT_CLI_STATS_PRINT_H_

#include <string>

#include "interpd/v1/admin.pb.h"

namespace interpd::client {

// What has no labels as lines of "key: value"; then one table for each set of labels, with a column for each metric
// that has those. Knows no metric by name: what a newer daemon counts is shown too.
std::string StatsTables(const v1::Stats& stats);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_STATS_PRINT_H_
