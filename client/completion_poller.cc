#include "client/completion_poller.h"

namespace interpd::client {

CompletionPoller::CompletionPoller()
    : thread_([this] {
        void* tag = nullptr;
        bool ok = false;
        while (queue_.Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->Complete(ok);
      }) {}

CompletionPoller::~CompletionPoller() {
  queue_.Shutdown();
  thread_.join();
}

}  // namespace interpd::client
