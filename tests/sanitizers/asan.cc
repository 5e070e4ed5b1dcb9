// Default options of AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer. Linked into every program of
// --config=asan, so that daemons started by tests have them too.
extern "C" {

// ASAN_OPTIONS adds to these. Abseil's headers poison free slots of hash tables, and its library, which was built
// without the sanitizer, hands them out again without saying so: hence no user poisoning.
const char* __asan_default_options() {
  return "allow_user_poisoning=0:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1";
}

const char* __ubsan_default_options() { return "print_stacktrace=1"; }

const char* __lsan_default_options() { return "print_suppressions=0"; }

const char* __lsan_default_suppressions() {
  static constexpr char kText[] = {
#embed "lsan.supp"
      , '\0'};
  return kText;
}
}
