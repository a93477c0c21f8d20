#pragma once
/// Whether what a power cut left is a store as it should be.

#include <ashlar/testing/crash_recorder.hpp>

namespace ashlar::inline v0 {

/// Opens a state, compares it with the history, verifies it, writes on, verifies again; now and then it closes or gives
/// the store up and opens it once more. Each answer is a sentence, empty when all is well.
template <class Store>
class crash_judge {
  public:
    explicit crash_judge(const crash_setup<Store>& setup) : setup_{setup} {}

    /// `image` is what the device holds after a cut behind so many calls; it is written to. `number` chooses what is
    /// done beyond: every 4th state is opened twice, in every 16th the order of the writes is watched.
    template <BlockDevice Image>
    [[nodiscard]] std::string examine(Image& image, const store_history& history, std::size_t calls,
                                      std::uint64_t number) {
        if (!setup_.watch_order || number % 16 != 0) {
            any_device device{image};
            return examine_on(device, history, calls, number);
        }
        order_checker checker{image};
        any_device    device{checker};
        auto          problem = examine_on(device, history, calls, number);
        auto          broken  = checker.violations();
        return problem.empty() && !broken.empty() ? std::move(broken.front()) : problem;
    }

  private:
    std::string examine_on(any_device& device, const store_history& history, std::size_t calls, std::uint64_t number) {
        auto opened = setup_.open_on(device, workspace_);
        if (!opened) return "it does not open: " + said(opened);
        auto&      live  = opened.value();
        const auto found = digest_on(live);
        if (!found) return "it cannot be read: " + said(found);
        if (auto wrong = history.objection(calls, found.value()); !wrong.empty()) return wrong;
        if (auto problems = findings_of(live); !problems.empty()) return problems;
        if (auto problems = write_on(live, number); !problems.empty()) return "afterwards, " + problems;
        if (number % 4 != 0) {
            static_cast<void>(live.abandon());
            return {};
        }
        return open_again(device, live, number);
    }

    /// A new object, a longer root and a sync. Where there is no room for them, the root can be made short all the
    /// same.
    static std::string write_on(Store& live, std::uint64_t number) {
        const auto bytes = pattern(700, number);
        const auto made  = live.create();
        auto       done  = made ? live.write(made.value(), 100, bytes) : result<>{made.error()};
        if (done) {
            const auto appended = live.append(live.root(), bytes);
            if (!appended) done = appended.error();
        }
        if (!done) {
            const auto code = done.error().code;
            if (code != errc::no_space && code != errc::reserve_only && code != errc::no_contiguous_space)
                return "create, write or append: " + said(done);
            if (const auto shorter = live.truncate(live.root(), 0); !shorter)
                return "truncate on a full volume: " + said(shorter);
        }
        if (const auto synced = live.sync(); !synced) return "sync: " + said(synced);
        return findings_of(live);
    }

    std::string open_again(any_device& device, Store& live, std::uint64_t number) {
        const auto expected = digest_on(live);
        if (number % 8 == 0) {
            if (const auto done = live.close(); !done) return "close: " + said(done);
        } else {
            static_cast<void>(live.abandon());
        }
        auto again = setup_.open_on(device, workspace_);
        if (!again) return "it does not open again: " + said(again);
        const auto read     = digest_on(again.value());
        auto       problems = findings_of(again.value());
        static_cast<void>(again.value().abandon());
        if (!expected || !read || read.value() != expected.value()) return "opened again it shows something else";
        return problems;
    }

    crash_setup<Store> setup_;
    aligned_buffer     workspace_;
};

}  // namespace ashlar::inline v0
