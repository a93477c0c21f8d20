#pragma once
/// What a power cut may leave of a store: nothing promised is lost, and there is no hole.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// An operation of a history, and what the store held after it. Times are counted in calls of the device.
struct store_moment {
    static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

    std::uint64_t digest  = 0;      ///< Of what the store held after it: digest_of.
    std::size_t   began   = 0;      ///< Calls of the device before it began.
    std::size_t   ended   = never;  ///< Calls when it had returned.
    bool          durable = false;  ///< Its return promised everything up to here.
    std::string   name{};
};

/// What a store held after each operation, in the order in which the operations joined. A cut after so many calls of
/// the device may leave what was held after any of them, from the last that had promised everything before it up to the
/// last that had begun: a beginning of the history, so that no later operation is there without an earlier one.
class store_history {
  public:
    struct range {
        std::size_t first = 0;
        std::size_t last  = 0;
    };

    /// The state in which the recording of the device begins.
    explicit store_history(std::uint64_t digest = 0) { moments_.push_back({digest, 0, 0, true, "the beginning"}); }

    /// The next operation of one thread: it began when the one before had returned.
    void note(std::uint64_t digest, std::size_t calls, bool promised, std::string name) {
        moments_.push_back({digest, moments_.back().ended, calls, promised, std::move(name)});
    }
    /// An operation that joined while others were under way. Answers its number; `end` says that it returned.
    std::size_t begin(std::uint64_t digest, std::size_t calls, std::string name) {
        moments_.push_back({digest, calls, store_moment::never, false, std::move(name)});
        return moments_.size() - 1;
    }
    void end(std::size_t number, std::size_t calls, bool promised) noexcept {
        moments_[number].ended   = calls;
        moments_[number].durable = promised;
    }

    [[nodiscard]] const std::vector<store_moment>& moments() const noexcept { return moments_; }
    [[nodiscard]] std::vector<store_moment>&       moments() noexcept { return moments_; }

    [[nodiscard]] range allowed(std::size_t calls) const noexcept {
        range seen;
        for (std::size_t i = 0; i < moments_.size() && (i == 0 || moments_[i].began <= calls); ++i) {
            seen.last = i;
            if (moments_[i].ended <= calls && moments_[i].durable) seen.first = i;
        }
        return seen;
    }

    /// Why a store may not hold this after such a cut; empty where it may.
    [[nodiscard]] std::string objection(std::size_t calls, std::uint64_t digest) const {
        const auto [first, last] = allowed(calls);
        for (auto i = first; i <= last; ++i) {
            if (moments_[i].digest == digest) return {};
        }
        std::string what = "it holds what it never held";
        for (std::size_t i = 0; i < moments_.size(); ++i) {
            if (moments_[i].digest == digest) what = "it holds what it held after operation " + text(i);
        }
        return what + "; allowed are " + text(first) + " to " + text(last);
    }

    /// An operation's number and name.
    [[nodiscard]] std::string text(std::size_t number) const {
        return std::to_string(number) + " (" + moments_[number].name + ")";
    }

  private:
    std::vector<store_moment> moments_;
};

}  // namespace ashlar::inline v0
