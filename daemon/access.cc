#include "daemon/access.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/token_file.h"

namespace interpd::daemon {
namespace {

constexpr std::string_view kBearer = "Bearer ";
constexpr size_t kMaxTokenBytes = 256;

struct Rule {
  AccessGrant grant;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<Role> role;
};

absl::StatusOr<Rule> Resolve(const AccessGrant& grant) {
  Rule rule{.grant = grant, .role = ParseRole(grant.role)};
  if (!grant.unix_user.empty()) {
    absl::StatusOr<uid_t> uid = FindUser(grant.unix_user);
    if (!uid.ok()) return uid.status();
    rule.uid = *uid;
  }
  if (!grant.unix_group.empty()) {
    absl::StatusOr<gid_t> gid = FindGroup(grant.unix_group);
    if (!gid.ok()) return gid.status();
    rule.gid = *gid;
  }
  return rule;
}

}  // namespace

struct Access::Policy {
  std::vector<Rule> rules;
  std::vector<TokenEntry> tokens;
};

Access::Access()
    : own_uid_(geteuid()),
      anonymous_(MakePrincipal("tcp", "anonymous", Role::kAdmin, {})),
      policy_(std::make_shared<const Policy>()) {}

Access::~Access() = default;

absl::Status Access::Configure(const AccessConfig& config) {
  auto policy = std::make_shared<Policy>();
  for (const AccessGrant& grant : config.rules) {
    absl::StatusOr<Rule> rule = Resolve(grant);
    if (!rule.ok()) return rule.status();
    policy->rules.push_back(*std::move(rule));
  }
  if (!config.token_file.empty()) {
    absl::StatusOr<std::vector<TokenEntry>> tokens = ReadTokenFile(config.token_file);
    const bool gone = !tokens.ok() && faccessat(AT_FDCWD, config.token_file.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
                      errno == ENOENT;
    if (!tokens.ok() && !(gone && generation() > 0)) return tokens.status();
    if (tokens.ok()) {
      policy->tokens = *std::move(tokens);
    } else {
      LOG(WARNING) << "there is no token file " << config.token_file << " any more: no token holds";
    }
  }
  absl::MutexLock lock(mutex_);
  policy_ = std::move(policy);
  for (auto& [uid, name] : user_names_) old_user_names_[uid] = std::move(name);
  user_names_.clear();
  ++generation_;
  return absl::OkStatus();
}

PrincipalRef Access::Remember(std::string_view kind, const std::string& name, Role role,
                              const PrincipalLimits& limits) {
  std::string key = absl::StrCat(kind, ":", name);
  absl::MutexLock lock(mutex_);
  PrincipalRef& made = made_[key];
  if (made == nullptr || made->role != role || made->limits != limits) made = MakePrincipal(kind, name, role, limits);
  return made;
}

PrincipalRef Access::OfUnixPeer(const PeerCredentials& peer) {
  const std::shared_ptr<const Policy> policy = this->policy();
  auto rule = absl::c_find_if(policy->rules, [&peer](const Rule& rule) {
    return rule.uid == peer.uid ||
           (rule.gid && (*rule.gid == peer.gid || absl::c_linear_search(peer.groups, *rule.gid)));
  });
  const bool found = rule != policy->rules.end();
  if (!found && peer.uid != own_uid_ && peer.uid != 0) return nullptr;
  const Role role = found ? *rule->role : Role::kAdmin;
  absl::StatusOr<std::string> name = NameOfUser(peer.uid);
  if (!name.ok()) {
    // A user's resources go by the name, so that it must be the right one. Nothing of an admin or viewer does, and the
    // daemon can still be told to drain.
    LOG(WARNING) << "cannot look up the name of user " << peer.uid << ": " << name.status().message();
    if (role == Role::kUser) return nullptr;
    name = absl::StrCat(peer.uid);
  }
  return Remember("unix", *name, role, found ? rule->grant.limits : PrincipalLimits());
}

absl::StatusOr<std::string> Access::NameOfUser(uid_t uid) {
  {
    absl::MutexLock lock(mutex_);
    auto known = user_names_.find(uid);
    if (known != user_names_.end()) return known->second;
  }
  absl::StatusOr<std::string> name = UserName(uid);
  absl::MutexLock lock(mutex_);
  if (!name.ok()) {
    // Who is known stays known while the directory is away.
    auto known = old_user_names_.find(uid);
    return known == old_user_names_.end() ? name : known->second;
  }
  return user_names_.emplace(uid, *std::move(name)).first->second;
}

PrincipalRef Access::OfTcpPeer(const TcpPeer& peer, absl::Time* expires) {
  if (expires != nullptr) *expires = absl::InfiniteFuture();
  if (!peer.tls) return anonymous_;
  const std::shared_ptr<const Policy> policy = this->policy();
  if (!peer.authorization.empty()) {
    std::string_view token = peer.authorization;
    if (!absl::StartsWithIgnoreCase(token, kBearer) || token.size() > kBearer.size() + kMaxTokenBytes) return nullptr;
    token.remove_prefix(kBearer.size());
    const std::string hash = HashToken(token);
    // All of them, in the time that all of them take: nothing about a hash is to be learnt from how long it took.
    const TokenEntry* entry = nullptr;
    for (const TokenEntry& candidate : policy->tokens) {
      if (CRYPTO_memcmp(candidate.hash.data(), hash.data(), hash.size()) == 0) entry = &candidate;
    }
    if (entry == nullptr || absl::Now() >= entry->expires) return nullptr;
    if (expires != nullptr) *expires = entry->expires;
    auto rule = absl::c_find_if(policy->rules, [entry](const Rule& rule) {
      return rule.grant.token == "*" || rule.grant.token == entry->principal;
    });
    const bool found = rule != policy->rules.end();
    const Role role = found && rule->role ? *rule->role : *ParseRole(entry->role);
    return Remember("token", entry->principal, role, found ? rule->grant.limits : PrincipalLimits());
  }
  auto first = absl::c_find_if(peer.certificate_names, [](const std::string& name) { return !name.empty(); });
  if (first == peer.certificate_names.end()) return nullptr;
  const std::string& name = *first;
  if (policy->rules.empty()) return Remember("cert", name, Role::kAdmin, {});
  auto rule = absl::c_find_if(policy->rules, [&peer](const Rule& rule) {
    return rule.grant.certificate == "*" ||
           (!rule.grant.certificate.empty() && absl::c_linear_search(peer.certificate_names, rule.grant.certificate));
  });
  if (rule == policy->rules.end()) return nullptr;
  return Remember("cert", name, *rule->role, rule->grant.limits);
}

}  // namespace interpd::daemon
