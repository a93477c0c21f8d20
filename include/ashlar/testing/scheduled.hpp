#pragma once
/// A model of Threading, and a device, whose threads meet in an order that a seed decides.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/concepts/threading.hpp>
#include <ashlar/testing/schedule.hpp>

#include <algorithm>
#include <list>

namespace ashlar::inline v0 {

/// A model of Threading whose threads are those of a `schedule`. Outside of any run one thread may use it, as between
/// two runs to open a store and to look at it.
struct scheduled {
    static constexpr bool concurrent = true;

    static void yield() noexcept { schedule::point(); }

    class mutex {
      public:
        void lock() noexcept {
            schedule::point();
            take();
        }
        void unlock() noexcept {
            give();
            schedule::point();
        }

      private:
        friend struct scheduled;

        static constexpr std::size_t free = detail::turn_keeper::nobody - 1;

        void take() noexcept {
            auto* const run = detail::turn_keeper::run();
            while (run != nullptr && owner_ != free) run->block(detail::turn_keeper::waits_for::mutex, this, &owner_);
            ASHLAR_ASSERT(owner_ == free);  // outside of a run nobody could ever give it up
            owner_ = schedule::self();
        }
        void give() noexcept {
            ASHLAR_ASSERT(owner_ == schedule::self());
            owner_ = free;
            if (auto* const run = detail::turn_keeper::run()) run->release(detail::turn_keeper::waits_for::mutex, this);
        }

        std::size_t owner_ = free;
    };

    class condition {
      public:
        void wait(mutex& held) noexcept {
            auto* const run = detail::turn_keeper::run();
            ASHLAR_ASSERT(run != nullptr);  // outside of a run nobody could ever wake it
            held.give();
            run->block(detail::turn_keeper::waits_for::condition, this, nullptr);
            held.take();
        }
        void wake() noexcept {
            if (auto* const run = detail::turn_keeper::run())
                run->release(detail::turn_keeper::waits_for::condition, this);
            schedule::point();
        }
    };

    class counter {
      public:
        void add(std::uint64_t n) noexcept {
            schedule::point();
            value_ += n;
        }
        void set(std::uint64_t n) noexcept {
            schedule::point();
            value_ = n;
        }
        [[nodiscard]] std::uint64_t value() const noexcept {
            schedule::point();
            return value_;
        }

      private:
        std::uint64_t value_ = 0;
    };
};
static_assert(Threading<scheduled>);

/// Any device whose calls take time: other logical threads run while one is under way, and a read takes its blocks in
/// two parts, so that whoever reads what is just being written gets a mixture. It notices such meetings: two transfers
/// of one block at the same time, one of which changes it, are what no device promises anything about.
/// Safe from: the threads of one schedule.
template <BlockDevice Inner>
class yielding_device {
  public:
    explicit yielding_device(Inner& inner) noexcept : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const under_way here{*this, e, false};
        if (e.count.value < 2 || !transfer_fits(geometry(), e, in.size())) return inner_.read(e, in);
        const block_count half{e.count.value / 2};
        const auto        at = static_cast<std::size_t>(bytes_of(half, geometry().size));
        BOOST_OUTCOME_TRY(inner_.read({e.first, half}, in.first(at)));
        schedule::point();
        return inner_.read({e.first + half, {e.count.value - half.value}}, in.subspan(at));
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const under_way here{*this, e, true};
        return inner_.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept {
        schedule::point();
        auto done = inner_.sync();
        schedule::point();
        return done;
    }
    [[nodiscard]] result<> trim(extent e) noexcept {
        const under_way here{*this, e, true};
        return inner_.trim(e);
    }

    /// Reads during which `excuses()` answers true may meet writes. A move needs it: it copies what may have been given
    /// away meanwhile, and finds that out afterwards.
    void excuse_reads(std::function<bool()> excuses) { excuses_ = std::move(excuses); }

    /// One sentence for each of the first meetings of two transfers.
    [[nodiscard]] const std::vector<std::string>& meetings() const noexcept { return meetings_; }

  private:
    static constexpr std::size_t meetings_max = 20;

    struct transfer_under_way {
        extent blocks{};
        bool   changes = false;
        bool   excused = false;
    };

    /// One transfer from before it to after it.
    class under_way {
      public:
        under_way(yielding_device& on, extent e, bool changes) : on_{on} {
            const bool excused = !changes && on.excuses_ && on.excuses_();
            for (const auto& other : on.now_) {
                const bool meets = other.blocks.first < e.end() && e.first < other.blocks.end();
                if (!meets || !(changes || other.changes) || excused || other.excused) continue;
                if (on.meetings_.size() == meetings_max) continue;
                on.meetings_.push_back("block " + std::to_string(std::max(e.first, other.blocks.first).value) + " is " +
                                       (changes ? "changed" : "read") + " while another thread " +
                                       (other.changes ? "changes" : "reads") + " it");
            }
            place_ = on.now_.insert(on.now_.end(), {e, changes, excused});
            schedule::point();
        }
        ~under_way() {
            schedule::point();
            on_.now_.erase(place_);
        }
        under_way(const under_way&)            = delete;
        under_way& operator=(const under_way&) = delete;

      private:
        yielding_device&                                       on_;
        typename std::list<transfer_under_way>::const_iterator place_;
    };

    Inner&                        inner_;
    std::list<transfer_under_way> now_;
    std::vector<std::string>      meetings_;
    std::function<bool()>         excuses_;
};

}  // namespace ashlar::inline v0
