// Stores that lose power, at any write, again and again. Each scenario ends at the first thing that must not be.
//
// usage: crash_probe SCENARIO [SEED [LIVES]]   or without arguments: every scenario, briefly

#include "targets.hpp"

#include <ashlar/testing/order_checker.hpp>

namespace probe {
namespace {

/// How a life may end.
struct endings {
    std::uint64_t kill_percent     = 0;      ///< The process dies and the device keeps its cache.
    std::uint64_t recovery_percent = 30;     ///< Recovery is cut too, up to three times.
    std::uint64_t rot_percent      = 0;      ///< A data block of the newest acknowledged batch changes afterwards.
    std::uint64_t writes_max       = 60;     ///< Of a life, until it ends.
    bool          ordered          = false;  ///< The order of the writes is watched.
    bool          moves            = false;  ///< Extents move between the operations.
    bool          reads            = false;  ///< The store is read between the operations.
};

/// Moves that go on between other operations, a block or two at a time.
class mover {
  public:
    using host_type = relocation_source<volume_of<crash_blueprint>>;

    explicit mover(std::uint32_t block_bytes) : chunk_(block_bytes), pieces_(32), move_{{}, {chunk_, pieces_}} {}

    void forget() { move_ = relocation{{}, {chunk_, pieces_}}; }

    /// Begins a move, or goes on with one. Errors: those of the move, but for races and want of room.
    result<> step(crash_store& opened, object_id owner, random_bits& random) {
        host_type   host{opened.volume()};
        no_throttle throttle;
        if (!move_.active()) {
            const move_request wanted{
                .owner = owner, .first = {random.below(8)}, .blocks = {1 + random.below(12)}, .window = {16}};
            return judged(move_.begin(host, wanted));
        }
        return judged(move_.advance(host, throttle, no_clock{}, block_count{1 + random.below(2)}));
    }

  private:
    static result<> judged(const move_answer& answer) {
        if (answer.verdict == move_verdict::failed) return answer.failure;
        return success();
    }

    byte_vector                chunk_;
    std::vector<mapped_extent> pieces_;
    relocation                 move_;
};

/// One volume through many lives.
class lives {
  public:
    lives(const shape& s, const endings& how, std::uint64_t seed)
        : shape_{s},
          how_{how},
          memory_{make(s)},
          cut_{memory_},
          checker_{cut_},
          checked_{checker_},
          bare_{cut_},
          watch_{how.ordered ? static_cast<calls&>(checked_) : bare_},
          random_{seed},
          mover_{s.block_bytes} {
        watched device{&watch_};
        check(crash_store::format(device, format_of(s)), "format");
        open("the first time");
        const auto data = opened_.volume().regions.object_parts().front().end();
        watch_.lies(opened_.volume().regions.journal(), data);
        operations_.emplace(seed, opened_.root());
        states_.push_back(operations_->now);
    }

    void run(std::uint64_t count) {
        for (std::uint64_t life = 1; life <= count; ++life) {
            place() = "life " + std::to_string(life);
            live();
            static_cast<void>(opened_.abandon());
            end();
            open("after the cut");
            heal();
            judge();
            check(checker_.violations().empty(), checker_.violations().empty() ? "" : checker_.violations().front());
        }
    }

    order_checks             checks() const { return checker_.checks(); }
    operations<crash_store>& operate() { return *operations_; }

  private:
    static memory_device make(const shape& s) {
        return std::move(memory_device::create({s.block_bytes}, block_count{s.blocks}).value());
    }

    void open(const std::string& when) {
        crash_store::options chosen;
        chosen.limits = limits_of(shape_);
        auto opened   = crash_store::open(watched{&watch_}, chosen);
        check(opened, "open " + when);
        opened_ = std::move(opened).value();
    }

    /// Works until the process is told to die, or for so many operations.
    void live() {
        watch_.die_after(1 + random_.below(how_.writes_max));
        before_acknowledged_ = newest_acknowledged_ = 0;
        mover_.forget();
        for (int i = 0; i < 200; ++i) {
            if (how_.moves) move();
            const auto batches = watch_.batches();
            const bool done    = operations_->step(opened_);
            if (!done && !watch_.dead()) {
                if (!is_full(operations_->why.code)) check(result<>{operations_->why}, operations_->what);
                continue;
            }
            if (watch_.batches() != batches) {
                before_acknowledged_ = newest_acknowledged_;
                newest_acknowledged_ = watch_.batches() == batches + 1 ? states_.size() - 1 : newest_acknowledged_;
            }
            states_.push_back(operations_->after);
            if (!done) return;
            if (operations_->durable) promised_ = states_.size() - 1;
            if (how_.reads && !watch_.dead())
                check(read_or_fail(opened_, "meanwhile") == operations_->now, "shows what it does not hold");
        }
    }
    void move() {
        const auto& now = operations_->now;
        auto        at  = now.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.below(now.size())));
        for (auto steps = random_.below(4); steps > 0; --steps) {
            const auto done = mover_.step(opened_, object_id{at->first}, random_);
            if (!done && !watch_.dead() && !is_full(done.error().code)) check(done, "move");
        }
    }
    static bool is_full(errc code) {
        return code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space ||
               code == errc::too_large;
    }

    /// The cut, and the cuts of the recoveries after it.
    void end() {
        const bool rots = random_.below(100) < how_.rot_percent;
        const auto late = random_.below(2) == 0;  // the rot comes after a recovery that was cut
        lose();
        if (rots && !late) rot();
        for (int i = 0; i < 3 && random_.below(100) < how_.recovery_percent; ++i) {
            watch_.die_after(1 + random_.below(24));
            crash_store::options chosen;
            chosen.limits = limits_of(shape_);
            if (auto opened = crash_store::open(watched{&watch_}, chosen)) static_cast<void>(opened.value().abandon());
            lose();
        }
        if (rots && late) rot();
    }

    void lose() {
        watch_.die_after(0);
        if (random_.below(100) < how_.kill_percent) return;
        const auto choices =
            crash_choices(cut_, {.random_max = 2, .single_max = 6, .tears_max = 8, .seed = random_.next()});
        cut_.restart(choices[static_cast<std::size_t>(random_.below(choices.size()))]);
        if (how_.ordered) checker_.restarted();
    }

    void rot() {
        if (watch_.listed().empty()) return;
        rotten_ = watch_.listed()[static_cast<std::size_t>(random_.below(watch_.listed().size()))];
        byte_vector bytes(shape_.block_bytes);
        check(cut_.read({*rotten_, block_count{1}}, bytes), "read");
        bytes[7] ^= std::byte{16};
        rotten_bytes_ = bytes;
        check(cut_.write({*rotten_, block_count{1}}, bytes), "write");
        check(cut_.sync(), "sync");
    }

    /// Where the rot did not change the history, it was in a block that nobody has checked yet.
    void heal() {
        if (!rotten_) return;
        byte_vector bytes(shape_.block_bytes);
        check(cut_.read({*rotten_, block_count{1}}, bytes), "read");
        if (bytes == rotten_bytes_) {
            bytes[7] ^= std::byte{16};
            check(cut_.write({*rotten_, block_count{1}}, bytes), "write");
            check(cut_.sync(), "sync");
        }
    }

    /// The store shows one of the states that it may show, and is whole.
    void judge() {
        const auto first = rotten_ ? (before_acknowledged_ < promised_ ? before_acknowledged_ : promised_) : promised_;
        rotten_.reset();
        check_whole(opened_, "after the cut");
        const auto found = read_or_fail(opened_, "after the cut");
        for (auto i = states_.size(); i-- > first;) {
            if (states_[i] != found) continue;
            states_          = {found};
            promised_        = 0;
            operations_->now = found;
            return;
        }
        for (std::size_t i = 0; i < first; ++i) check(states_[i] != found, "what was promised is lost");
        fail("holds what it never held");
    }

    shape                                                    shape_;
    endings                                                  how_;
    memory_device                                            memory_;
    power_cut_device<memory_device>                          cut_;
    order_checker<power_cut_device<memory_device>>           checker_;
    calls_of<order_checker<power_cut_device<memory_device>>> checked_;
    calls_of<power_cut_device<memory_device>>                bare_;
    watch                                                    watch_;
    random_bits                                              random_;
    mover                                                    mover_;
    crash_store                                              opened_;
    std::optional<operations<crash_store>>                   operations_;
    std::vector<state>                                       states_;  ///< Since the last that was judged.
    std::size_t                promised_ = 0, before_acknowledged_ = 0, newest_acknowledged_ = 0;
    std::optional<block_index> rotten_;
    byte_vector                rotten_bytes_;
};

void run_lives(const shape& s, const endings& how, std::uint64_t seed, std::uint64_t count) {
    lives volume{s, how, seed};
    volume.run(count);
    if (how.ordered) {
        const auto checks = volume.checks();
        check(checks.batches != 0 && checks.home_writes != 0 && checks.reuses != 0 && checks.trims != 0 &&
                  checks.anchors != 0,
              "the checker saw too little");
    }
}

struct scenario {
    std::string_view name;
    std::uint64_t    lives;  ///< When every scenario runs.
    void (*run)(std::uint64_t seed, std::uint64_t lives);
};

const scenario scenarios[] = {
    {"cut", 300, [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {}, seed, n); }},
    {"small_cache", 200,
     [](std::uint64_t seed, std::uint64_t n) { run_lives({.blocks = 2400, .cache_blocks = 18}, {}, seed, n); }},
    {"large_blocks", 100,
     [](std::uint64_t seed, std::uint64_t n) {
         run_lives({.block_bytes = 4096, .blocks = 400, .journal_blocks = 48}, {}, seed, n);
     }},
    {"kill", 300,
     [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {.kill_percent = 50, .recovery_percent = 60}, seed, n); }},
    {"rot", 300,
     [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {.recovery_percent = 60, .rot_percent = 100}, seed, n); }},
    {"order", 100,
     [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {.writes_max = 300, .ordered = true}, seed, n); }},
    {"moves", 200, [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {.moves = true}, seed, n); }},
    {"data_first", 200, [](std::uint64_t seed, std::uint64_t n) { run_lives({.listed_blocks = 3}, {}, seed, n); }},
    {"reads", 100, [](std::uint64_t seed, std::uint64_t n) { run_lives({}, {.reads = true}, seed, n); }},
    {"old_epoch", 1, [](std::uint64_t seed, std::uint64_t) { old_epoch(seed); }},
    {"damage", 1, [](std::uint64_t seed, std::uint64_t) { damage(seed); }},
    {"long_batch", 1, [](std::uint64_t seed, std::uint64_t) { long_batch(seed); }},
    {"torn_header", 1, [](std::uint64_t seed, std::uint64_t) { torn_header(seed); }},
    {"dropped", 1, [](std::uint64_t seed, std::uint64_t) { dropped(seed); }},
    {"failed_sync", 1, [](std::uint64_t seed, std::uint64_t) { failed_sync(seed); }},
    {"failed_write", 1, [](std::uint64_t seed, std::uint64_t) { failed_write(seed); }},
    {"refused", 1, [](std::uint64_t seed, std::uint64_t) { refused(seed); }},
    {"read_only", 1, [](std::uint64_t seed, std::uint64_t) { read_only(seed); }},
    {"lost_write", 1, [](std::uint64_t seed, std::uint64_t) { lost_write(seed); }},
    {"pinned", 1, [](std::uint64_t seed, std::uint64_t) { pinned(seed); }},
};

}  // namespace
}  // namespace probe

int main(int count, char** words) { return probe::run_chosen(count, words, probe::scenarios); }
