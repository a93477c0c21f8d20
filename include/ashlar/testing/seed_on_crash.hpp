#pragma once
/// Which seed it was, where a run ends the process.

#include <csignal>
#include <cstdint>

#include <unistd.h>

namespace ashlar::inline v0 {

/// Says the seed on the error output when an assertion or a wrong access ends the process while it lives. Signals that
/// somebody else handles, as a sanitizer does, stay theirs. One at a time.
class seed_on_crash {
  public:
    seed_on_crash() noexcept {
        for (std::size_t i = 0; i < count; ++i) {
            struct sigaction mine {};
            mine.sa_handler = tell;
            mine.sa_flags   = static_cast<int>(SA_RESETHAND);
            ::sigaction(signals[i], nullptr, &before_[i]);
            if (before_[i].sa_handler == SIG_DFL) ::sigaction(signals[i], &mine, nullptr);
        }
    }
    ~seed_on_crash() {
        for (std::size_t i = 0; i < count; ++i) ::sigaction(signals[i], &before_[i], nullptr);
    }
    seed_on_crash(const seed_on_crash&)            = delete;
    seed_on_crash& operator=(const seed_on_crash&) = delete;

    void is(std::uint64_t seed) noexcept { now() = seed; }

  private:
    static constexpr std::size_t count = 5;
    static constexpr int         signals[count]{SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS};

    static volatile std::uint64_t& now() noexcept {
        static volatile std::uint64_t seed = 0;
        return seed;
    }

    static void tell(int signal) noexcept {
        char  text[] = "the process ends in seed                     \n";
        char* at     = text + sizeof text - 3;
        for (auto left = now();; left /= 10) {
            *at-- = static_cast<char>('0' + left % 10);
            if (left < 10) break;
        }
        static_cast<void>(!::write(2, text, sizeof text - 1));
        static_cast<void>(::raise(signal));  // the handler is gone
    }

    struct sigaction before_[count] {};
};

}  // namespace ashlar::inline v0
