#pragma once
/// Users' regions of a volume that is copied.

#include <ashlar/copy/copy_budget.hpp>
#include <ashlar/copy/copy_mark.hpp>
#include <ashlar/copy/region_pipe.hpp>

namespace ashlar::inline v0 {

/// One pass over all regions, in the order of their names: those that the source lost go, new ones come, and of each
/// what was written since the pass before is copied. The first pass copies all.
template <Blueprint From, Blueprint To>
class copy_regions {
  public:
    using lanes = typename region_pipe<From, To>::lanes;

    struct outcome {
        std::uint64_t regions = 0;
        std::uint64_t raced   = 0;  ///< Regions that went meanwhile: what the target has of them is the next pass's.
        block_count   copied{};
    };

    /// `watch` of the source, or null where nobody writes to it. Precondition: nothing else turns it.
    void begin(store<From>& from, region_watch* watch, bool first) noexcept {
        watch_ = watch;
        if (watch != nullptr) {
            const entered guard{from.volume()};  // what is noted meanwhile is in one set or in the other
            watch->turn();
        }
        pipe_.close();  // a pass that began anew left one
        first_ = first;
        after_ = {};
        state_ = state::removing;
    }

    /// Does one thing and comes back; true: there is more. A step's end is in `said`.
    template <class Budget>
    result<bool> step(store<From>& from, copy_target<From, To>& to, const lanes& memory, Budget& budget, progress& said,
                      outcome& sum) noexcept {
        switch (state_) {
            case state::removing: return remove_next(from, to.of());
            case state::looking: return next(from, to.of());
            case state::copying: return copy(from, to, memory, budget, said, sum);
            case state::done: break;
        }
        return false;
    }

  private:
    enum class state : std::uint8_t { removing, looking, copying, done };

    [[nodiscard]] static std::uint64_t number(region_id name) noexcept {
        return std::uint64_t{name.type} << 32U | name.number;
    }

    /// The user's region with the lowest name behind `after_`: other than its slot a name stays while regions come and
    /// go.
    template <Blueprint B>
    std::optional<region_info> behind(store<B>& of) const noexcept {
        store_regions              regions{of};
        std::optional<region_info> lowest;
        for (std::uint32_t i = 0; i < regions.count(); ++i) {
            const auto one = regions.at(i);
            if (!one || one.value().engine || one.value().name == copy_mark::name) continue;
            const auto at = number(one.value().name);
            if (at > number(after_) && (!lowest || at < number(lowest->name))) lowest = one.value();
        }
        return lowest;
    }

    static result<> drop(store<To>& to, const region_info& one) noexcept {
        if (one.pinned) { BOOST_OUTCOME_TRY(store_regions{to}.pin(one.name, false)); }
        return store_regions{to}.remove(one.name);
    }

    result<bool> remove_next(store<From>& from, store<To>& to) noexcept {
        const auto one = behind(to);
        if (!one) {
            after_ = {};
            state_ = state::looking;
            return true;
        }
        const auto there = store_regions{from}.find(one->name);
        if (!there || there.value().place.count != one->place.count) { BOOST_OUTCOME_TRY(drop(to, *one)); }
        after_ = one->name;
        return true;
    }

    result<bool> next(store<From>& from, store<To>& to) noexcept {
        const auto one = behind(from);
        if (!one) {
            state_ = state::done;
            return false;
        }
        now_   = *one;
        whole_ = first_ || watch_ == nullptr;
        store_regions target{to};
        const auto    there = target.find(now_.name);
        if (there && there.value().place.count != now_.place.count) { BOOST_OUTCOME_TRY(drop(to, there.value())); }
        if (!there || there.value().place.count != now_.place.count) {
            BOOST_OUTCOME_TRY(target.add(
                {.type = now_.name.type, .blocks = now_.place.count, .from = {}, .number = now_.name.number}));
            whole_ = true;
        }
        at_    = {};
        state_ = state::copying;
        return true;
    }

    /// What is copied next: from `at` on, or from the first window behind it that was written.
    [[nodiscard]] extent next_part(block_count at, block_count most) const noexcept {
        const auto blocks = now_.place.count;
        if (whole_) return {{at.value}, std::min(most, blocks - at)};
        constexpr auto window = region_watch::window_blocks;
        while (at < blocks && !watch_->wrote(now_.name, at.value / window)) at = {(at.value / window + 1) * window};
        if (at >= blocks) return {};
        auto end = at;
        while (end < blocks && end - at < most && watch_->wrote(now_.name, end.value / window))
            end = {(end.value / window + 1) * window};
        return {{at.value}, std::min({end - at, most, blocks - at})};
    }

    template <class Budget>
    result<bool> copy(store<From>& from, copy_target<From, To>& to, const lanes& memory, Budget& budget, progress& said,
                      outcome& sum) noexcept {
        if (next_part(at_, block_count{1}).empty()) return end(from, to.of(), sum);
        typename region_pipe<From, To>::outcome done;
        const auto next   = [&](block_count at, block_count most) noexcept { return next_part(at, most); };
        const auto answer = pipe_.run(from, to, now_.name, memory, at_, budget, said, done, next);
        sum.copied += done.copied;
        at_ = done.reached;
        BOOST_OUTCOME_TRY(answer);
        if (done.failure.code == errc::none) return true;
        if (done.read) return gone(from, done.failure, sum);
        return done.failure;
    }

    /// A region that went, or came again, is the next pass's. The directory decides: a device that ends before it
    /// should says out_of_range too.
    result<bool> gone(store<From>& from, error why, outcome& sum) noexcept {
        if (why.code != errc::not_found && why.code != errc::out_of_range) return why;
        const auto now = store_regions{from}.find(now_.name);
        if (now.has_error() && now.error().code != errc::not_found) return now.error();
        if (now && now.value().place.count == now_.place.count && why.code == errc::out_of_range) return why;
        ++sum.raced;
        pipe_.close();
        after_ = now_.name;
        state_ = state::looking;
        return true;
    }

    result<bool> end(store<From>& from, store<To>& to, outcome& sum) noexcept {
        const auto now = store_regions{from}.find(now_.name);
        if (now.has_error()) return gone(from, now.error(), sum);
        const auto there = store_regions{to}.find(now_.name);
        if (there && there.value().pinned != now.value().pinned) {
            BOOST_OUTCOME_TRY(store_regions{to}.pin(now_.name, now.value().pinned));
        }
        ++sum.regions;
        pipe_.close();
        after_ = now_.name;
        state_ = state::looking;
        return true;
    }

    region_pipe<From, To> pipe_{};
    region_watch*         watch_ = nullptr;
    region_info           now_{};
    region_id             after_{};
    block_count           at_{};
    state                 state_ = state::done;
    bool                  first_ = true;
    bool                  whole_ = true;
};

}  // namespace ashlar::inline v0
