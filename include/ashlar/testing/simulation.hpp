#pragma once
/// One run of a simulation: steps done on a store by logical threads, each answer compared with a model.

#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/store.hpp>
#include <ashlar/testing/simulated_disk.hpp>
#include <ashlar/testing/simulated_owner.hpp>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <type_traits>

namespace ashlar::inline v0 {

/// A blueprint as it is simulated: device, clock and threads are the simulator's; a threading that derives from
/// `scheduled` stays. All else is what the user named.
template <class B>
struct simulated : B {
    using device = any_device;
    using clock  = manual_clock;
    using threading =
        std::conditional_t<std::is_base_of_v<scheduled, typename B::threading>, typename B::threading, scheduled>;
};

/// Limits of a small machine: everything that is bounded is met.
[[nodiscard]] inline volume_limits simulated_limits() noexcept {
    volume_limits limits;
    limits.transaction   = {.shadows = 40, .extents = 48, .data_blocks = 48, .objects = 6};
    limits.space         = {.groups_loaded = 2, .retired = 256, .holds = 4};
    limits.unsynced_runs = 48;
    limits.journal_bytes = 8192;
    return limits;
}

/// A defragmenter that goes on as long as there is something to gain, within small memory.
[[nodiscard]] inline defrag_options simulated_defragmenter() noexcept {
    defrag_options options;
    options.threshold_permille = 0;
    options.cycle_blocks_max   = {0};
    options.cycle_interval     = {};
    options.extents_min        = 2;
    options.priority           = defrag_intensity::unpaced;
    options.window             = {32};
    options.pieces_max         = 40;
    options.chunk_bytes        = 16384;
    return options;
}

template <class B>
struct simulation_options {
    using store_options = typename store<simulated<B>>::options;

    simulation_table table{};
    /// What the store is opened with. What stands in the table, and the clock, are the seed's.
    store_options base = [] {
        store_options chosen{};
        chosen.limits = simulated_limits();
        chosen.defrag = simulated_defragmenter();
        return chosen;
    }();
    /// Lays devices of the user's own over the simulated one, afresh for each run. They outlive the run.
    std::function<any_device(any_device& below)> stack{};
    bool watch_order = std::is_same_v<typename B::journal, ring_journal>;  ///< An order_checker understands it.

    std::uint64_t shrink_runs_max = 800;  ///< Runs that making a failure small may take; 0: it stays as it is.
};

/// What a run did: zero means that it proved nothing.
struct simulation_counts {
    std::uint64_t steps    = 0;  ///< That did something.
    std::uint64_t refused  = 0;  ///< For want of room, or because another thread was in the way, or the device failed.
    std::uint64_t reads    = 0;  ///< Answers compared with the model.
    std::uint64_t cuts     = 0;  ///< Recoveries that were judged.
    std::uint64_t reopened = 0;  ///< Closed and opened.
    std::uint64_t faults   = 0;  ///< Calls of the device that failed.
    std::uint64_t noticed  = 0;  ///< Answers that named bytes as wrong.
    std::uint64_t moved    = 0;  ///< Blocks that maintenance moved.
    std::uint64_t switches = 0;  ///< Between threads.
    std::uint64_t calls    = 0;  ///< Of the device.

    simulation_counts& operator+=(const simulation_counts& more) noexcept {
        steps += more.steps;
        refused += more.refused;
        reads += more.reads;
        cuts += more.cuts;
        reopened += more.reopened;
        faults += more.faults;
        noticed += more.noticed;
        moved += more.moved;
        switches += more.switches;
        calls += more.calls;
        return *this;
    }
};

/// The world of one run. Where threads are stuck it must not be destroyed, as they stand in it.
template <class B>
class simulation {
  public:
    using store_type = store<simulated<B>>;
    static_assert(B::journal::durable, "without a journal nothing is promised, so nothing can be compared");

    simulation(const simulated_setup& setup, const simulation_options<B>& options)
        : setup_{setup},
          options_{options},
          medium_{make_medium(setup)},
          disk_{medium_, setup.trimmed, options.watch_order, clock_, hash_},
          top_{disk_.top()},
          device_{options.stack ? options.stack(top_) : top_} {}

    /// Does the steps. Call it once.
    void run(std::span<const simulated_step> steps) {
        begin();
        queues_.resize(setup_.threads + 1);
        for (const auto& step : steps) {
            if (!step.is_barrier()) {
                queues_[std::min(step.thread, setup_.threads)].push_back(step);
                continue;
            }
            work();
            if (!failure_.empty()) return;
            if (step.verb == simulated_verb::power_cut) recover(step.seed);
            if (step.verb == simulated_verb::reopen) reopen();
            ++counts_.steps;
        }
        work();
        if (failure_.empty()) reopen();
        hash_.add(medium_.bytes());
        counts_.calls = disk_.calls();
    }

    [[nodiscard]] const std::string&       failure() const noexcept { return failure_; }
    [[nodiscard]] bool                     is_stuck() const noexcept { return stuck_; }
    [[nodiscard]] std::uint64_t            hash() const noexcept { return hash_.value(); }
    [[nodiscard]] const simulation_counts& counts() const noexcept { return counts_; }

  private:
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    static memory_device make_medium(const simulated_setup& setup) {
        auto made = memory_device::create({setup.block_bytes}, block_count{setup.blocks});
        ASHLAR_ASSERT(made.has_value());
        return std::move(made).value();
    }

    void fail(std::string why) {
        halted_ = true;
        if (failure_.empty()) failure_ = std::move(why);
    }

    [[nodiscard]] typename store_type::options store_options() const {
        auto  chosen               = options_.base;
        auto& limits               = chosen.limits;
        chosen.clock               = clock_;
        limits.cache_blocks        = setup_.cache_blocks;
        limits.transactions        = setup_.threads + 3;
        limits.staging_bytes       = setup_.staging_bytes;
        limits.staged_bytes        = setup_.staged_bytes;
        limits.unsynced_blocks     = setup_.unsynced_blocks;
        limits.space.groups_loaded = setup_.groups_loaded;
        return chosen;
    }

    void begin() {
        format_options format;
        for (std::size_t i = 0; i < format.volume.size(); ++i) format.volume[i] = static_cast<std::byte>(i + 1);
        format.journal_blocks = {setup_.journal_blocks};
        if (const auto done = store_type::format(device_, format); !done) return fail("format: " + said(done));
        auto opened = store_type::open(device_, store_options());
        if (!opened) return fail("open: " + said(opened));
        store_ = std::move(opened).value();
        for (std::size_t i = 0; i < setup_.threads; ++i) {
            owners_.emplace_back(store_.root());
            if (i != 0) owners_.back().settle(model_state{});
        }
        disk_.faults().failing_writes(setup_.failing_writes);
        disk_.slow().excuse_reads([this] { return movers_.count(schedule::self()) != 0; });
    }

    // The threads. ---------------------------------------------------------------------------------------------------

    /// Lets the threads do what is in their queues; where writing ends under them the store recovers, and they go on.
    void work() {
        const auto waits = [this] {
            return std::any_of(queues_.begin(), queues_.end(), [](const auto& queue) { return !queue.empty(); });
        };
        while (failure_.empty() && waits()) {
            halted_ = false;
            schedule run{setup_.schedule_seed + ++rounds_, {.switch_permille = setup_.switch_permille}};
            for (std::size_t i = 0; i < queues_.size(); ++i) {
                if (queues_[i].empty()) continue;
                run.spawn("thread " + std::to_string(i), [this, i] { live(i); });
            }
            const auto report = run.run();
            counts_.switches += report.switches;
            hash_.add(report.trace);
            if (!report.stuck.empty()) {
                stuck_ = true;
                return fail(report.stuck);
            }
            if (auto broken = disk_.objection(); !broken.empty()) fail(std::move(broken));
            if (failure_.empty() && writing_ended()) recover(cut_seed_);
        }
    }

    void live(std::size_t thread) {
        auto& queue = queues_[thread];
        while (!halted_ && !queue.empty()) {
            const auto step = queue.front();
            queue.pop_front();
            perform(step, thread);
            schedule::point();
        }
    }

    [[nodiscard]] std::uint64_t stamp() noexcept { return ++stamps_; }
    [[nodiscard]] bool          writing_ended() noexcept { return !disk_.cut().powered() || store_.read_only(); }

    void perform(const simulated_step& step, std::size_t thread) {
        switch (step.verb) {
            case simulated_verb::read: return read(step, thread);
            case simulated_verb::sync: return promise("sync", [&] { return store_.sync(); });
            case simulated_verb::checkpoint: return promise("checkpoint", [&] { return store_.checkpoint(); });
            case simulated_verb::maintain:
            case simulated_verb::trim:
            case simulated_verb::verify:
            case simulated_verb::wait: return tend(step);
            case simulated_verb::fail_read: return plan(transfer_kind::read, step);
            case simulated_verb::fail_write: return plan(transfer_kind::write, step);
            case simulated_verb::fail_sync: return plan(transfer_kind::sync, step);
            case simulated_verb::fail_trim: return plan(transfer_kind::trim, step);
            case simulated_verb::rot: return rot(step, thread);
            case simulated_verb::cut_after: return cut_later(step);
            default:
                if (thread < owners_.size()) change(step, owners_[thread]);
        }
    }

    void plan(transfer_kind kind, const simulated_step& step) {
        cut_seed_ = step.seed;
        disk_.faults().fail(kind, step.a, step.b % 4 == 0 ? fault_lasts::for_good : fault_lasts::once);
    }

    /// Most bits rot where an object's bytes are, the others anywhere.
    void rot(const simulated_step& step, std::size_t thread) {
        block_index block{step.a % setup_.blocks};
        const auto  id = thread < owners_.size() ? owners_[thread].slots[step.slot] : object_id{};
        if (id != object_id{} && step.seed % 4 != 0) {
            const auto piece = store_.next_extent(id, {});
            if (piece && piece.value()) {
                const auto physical = piece.value()->physical;
                block               = physical.first + block_count{step.a % physical.count.value};
            }
        }
        rotten_ = true;
        disk_.faults().flip_bit(block, static_cast<std::uint32_t>(step.b));
        simulated_step look = step;
        look.owner          = thread;
        look.a              = 0;
        look.b              = std::uint64_t{setup_.block_bytes} * 40;
        read(look, thread);
    }

    void cut_later(const simulated_step& step) {
        if (!disk_.cut().powered()) return;  // or it would come back without a restart
        cut_seed_ = step.seed;
        disk_.cut().cut_after(step.a);
    }

    // Changes. -------------------------------------------------------------------------------------------------------

    void change(const simulated_step& step, simulated_owner& mine) {
        auto& slot = mine.slots[step.slot];
        if ((slot == object_id{}) != (step.verb == simulated_verb::create) &&
            step.verb != simulated_verb::transaction && step.verb != simulated_verb::dropped_transaction)
            return;
        const auto faults = disk_.faults().failures();
        const auto began  = stamp();
        mine.begin(began, step.verb == simulated_verb::create);
        auto       slots = mine.slots;
        const auto done  = call(step, mine, slots);
        const auto ended = stamp();
        hash_.add(static_cast<std::uint64_t>(done.why.code));
        if (done.wrong != nullptr) return fail(step.text() + ": " + done.wrong);
        if (done.why.code == errc::none) {
            ++counts_.steps;
            mine.slots = slots;
            mine.succeed(ended);
            if (done.durable) promised(began, mine);
        } else if (writing_ended()) {
            mine.slots = slots;
            mine.leave_open();
            halted_ = true;
        } else {
            ++counts_.refused;
            if (mine.refuse()) fail(step.text() + ": it was refused, and a reader has seen it: " + done.text());
            if (!may_be(done.why, faults)) fail(step.text() + ": " + done.text());
        }
    }

    operation_outcome call(const simulated_step& step, simulated_owner& mine,
                           std::array<object_id, simulated_slots>& slots) {
        const auto id    = mine.slots[step.slot];
        auto&      model = mine.model;
        switch (step.verb) {
            case simulated_verb::create: {
                std::set<std::uint64_t> before;
                for (const auto& [known, bytes] : model.state()) before.insert(known);
                const auto done = model.create(store_);
                for (const auto& [known, bytes] : model.state()) {
                    if (before.count(known) == 0) slots[step.slot] = {known};
                }
                return done;
            }
            case simulated_verb::write:
                return model.write(store_, id, step.a, pattern(static_cast<std::size_t>(step.b), step.seed));
            case simulated_verb::append:
                if (model.state().at(id.value).size() + step.b > setup_.block_bytes * 24U)
                    return model.truncate(store_, id, step.b);
                return model.append(store_, id, pattern(static_cast<std::size_t>(step.b), step.seed));
            case simulated_verb::truncate: return model.truncate(store_, id, step.a);
            case simulated_verb::punch: return model.punch(store_, id, step.a, step.b);
            case simulated_verb::reserve: return model.reserve(store_, id, step.a, step.b);
            case simulated_verb::erase:
                if (id == store_.root()) return model.unchanged("nothing", result<>{success()});
                return model.erase(store_, id);
            default:
                return model.transaction(
                    store_, [&](auto& tx) { fill(tx, step.seed, slots); }, step.verb == simulated_verb::transaction);
        }
    }

    /// Some changes of the thread's own objects.
    template <class Transaction>
    void fill(Transaction& tx, std::uint64_t seed, std::array<object_id, simulated_slots>& slots) {
        random_bits random{seed};
        for (auto left = 1 + random.below(4); left != 0; --left) {
            auto&      slot   = slots[static_cast<std::size_t>(random.below(slots.size()))];
            const auto length = 1 + random.below(setup_.block_bytes + 300U);
            const auto offset = random.below(setup_.block_bytes * 4U);
            if (slot == object_id{}) {
                slot = tx.create();
                schedule::point();
                continue;
            }
            switch (random.below(6)) {
                case 0:
                    if (slot == store_.root()) break;
                    tx.erase(slot);
                    slot = {};
                    break;
                case 1: tx.truncate(slot, offset); break;
                case 2: tx.punch(slot, offset, length); break;
                default: tx.write(slot, offset, pattern(static_cast<std::size_t>(length), random.next()));
            }
            schedule::point();  // it stays open while others go on
        }
    }

    /// Whether a call may have failed so: for want of room or of a turn, or since the device failed meanwhile.
    [[nodiscard]] bool may_be(error why, std::uint64_t faults_before) noexcept {
        switch (why.code) {
            case errc::too_large:
            case errc::no_space:
            case errc::reserve_only:
            case errc::no_contiguous_space:
            case errc::too_many_extents:
            case errc::busy: return true;
            case errc::device_failed: return disk_failed_since(faults_before);
            case errc::checksum_differs:
            case errc::damaged: ++counts_.noticed; return rotten_;
            default: return false;
        }
    }
    [[nodiscard]] bool disk_failed_since(std::uint64_t before) noexcept { return disk_.faults().failures() != before; }

    /// What had returned before `began`, of any thread, is durable; `also` is the owner of a commit, which is too.
    void promised(std::uint64_t began, simulated_owner& also) {
        for (auto& owner : owners_) owner.promise(began);
        also.promise(never);
    }
    template <class Call>
    void promise(const char* what, Call call) {
        const auto faults = disk_.faults().failures();
        const auto began  = stamp();
        const auto done   = call();
        hash_.add(done);
        if (done) {
            ++counts_.steps;
            for (auto& owner : owners_) owner.promise(began);
        } else if (writing_ended()) {
            halted_ = true;
        } else if (!may_be(done.error(), faults)) {
            fail(std::string{what} + ": " + said(done));
        }
    }

    // Reads and maintenance. -----------------------------------------------------------------------------------------

    void read(const simulated_step& step, std::size_t thread) {
        if (step.owner >= owners_.size()) return;
        auto&      owner = owners_[step.owner];
        const auto id    = owner.slots[step.slot];
        if (id == object_id{}) return;
        const bool own    = step.owner == thread;
        const auto from   = own ? step.a : 0;
        const auto faults = disk_.faults().failures();
        const auto size   = own ? step.b : std::uint64_t{setup_.block_bytes} * 40;
        auto       bytes  = std::vector<std::byte>(static_cast<std::size_t>(size), std::byte{0xEE});
        const auto began  = stamp();
        const auto done   = store_.read(id, from, std::span<std::byte>{bytes});
        const auto ended  = stamp();
        hash_.add(done);
        if (!done && done.error().code != errc::not_found) {
            if (!writing_ended() && !may_be(done.error(), faults)) fail(step.text() + ": " + said(done));
            return;
        }
        ++counts_.steps;
        ++counts_.reads;
        const auto seen = std::span{bytes}.first(done ? done.value() : 0);
        hash_.add(seen);
        if (own) {
            const auto& all  = owner.model.state().at(id.value);
            const auto  most = all.size() < from ? 0 : std::min<std::uint64_t>(all.size() - from, step.b);
            const auto  at   = all.begin() + static_cast<std::ptrdiff_t>(most == 0 ? 0 : from);
            if (!done || seen.size() != most || !std::equal(seen.begin(), seen.end(), at))
                fail(step.text() + ", which answers other bytes than were written");
        } else {
            const auto digest = done ? digest_of(id.value, seen) : simulated_version::absent;
            if (!owner.explains(id.value, digest, began, ended))
                fail(step.text() + " by thread " + std::to_string(thread) +
                     ", which answers what it did not hold then");
        }
    }

    void tend(const simulated_step& step) {
        const auto faults = disk_.faults().failures();
        if (step.verb == simulated_verb::wait) {
            clock_.advance(milliseconds(step.a));
        } else if (step.verb == simulated_verb::verify) {
            const auto found = findings_of(store_);
            hash_.add(found.size());
            if (!found.empty() && !rotten_ && !disk_failed_since(faults) && !writing_ended()) fail("verify: " + found);
        } else if (step.verb == simulated_verb::trim) {
            const auto done = store_.trim(block_count{step.a});
            hash_.add(done);
            if (!done && !writing_ended() && !may_be(done.error(), faults)) fail("trim: " + said(done));
        } else {
            const auto moved = store_.metrics().blocks_moved;
            movers_.insert(schedule::self());
            const auto done = store_.maintain({.blocks_max = step.a});
            movers_.erase(schedule::self());
            hash_.add(done);
            counts_.moved += store_.metrics().blocks_moved - moved;
            if (!done && !writing_ended() && !may_be(done.error(), faults)) fail("maintain: " + said(done));
        }
        ++counts_.steps;
    }

    // Between lives. -------------------------------------------------------------------------------------------------

    void heal() {
        counts_.faults += disk_.faults().failures() - failures_counted_;
        failures_counted_ = disk_.faults().failures();
        disk_.faults().heal();
        disk_.faults().failing_writes(setup_.failing_writes);
        rotten_ = false;
    }

    /// Everything that the store answers; nothing after an error, which is then the failure.
    std::optional<model_state> read_all(const char* when) {
        model_state found;
        for (object_id at{};;) {
            const auto next = store_.next_object(at);
            if (!next) return fail(std::string{when} + ", next_object: " + said(next)), std::nullopt;
            if (!next.value()) return found;
            at = *next.value();
            std::vector<std::byte> bytes(std::size_t{setup_.block_bytes} * 40);
            const auto             got = store_.read(at, 0, std::span<std::byte>{bytes});
            if (!got)
                return fail(std::string{when} + ", object " + std::to_string(at.value) + ": " + said(got)),
                       std::nullopt;
            bytes.resize(got.value());
            found.emplace(at.value, std::move(bytes));
        }
    }

    void recover(std::uint64_t seed) {
        ++counts_.cuts;
        random_bits random{seed};
        static_cast<void>(store_.abandon());
        heal();
        disk_.restart(random.next());
        if (!open_in_trouble(random)) return;
        heal();
        disk_.cut().cut_after(never);
        auto found = read_all("after a power cut");
        if (!found) return;
        simulated_survivors survivors{owners_, *found};
        if (!survivors.objection().empty()) return fail("after a power cut " + survivors.objection());
        for (std::size_t i = 0; i < owners_.size(); ++i) owners_[i].settle(std::move(survivors.found(i)));
        if (auto wrong = findings_of(store_); !wrong.empty()) fail("verify after a power cut: " + wrong);
        if (auto broken = disk_.objection(); !broken.empty()) fail(std::move(broken));
    }

    /// Opens, while power goes again or the device fails, until it came through. Answers whether it ever did.
    bool open_in_trouble(random_bits& random) {
        for (int attempt = 0;; ++attempt) {
            const auto trouble = attempt < 3 ? random.below(6) : 5;
            const auto faults  = disk_.faults().failures();
            if (trouble == 0) disk_.cut().cut_after(1 + random.below(12));
            if (trouble == 1) disk_.faults().fail(transfer_kind::read, 1 + random.below(30));
            if (trouble == 2) disk_.faults().fail(transfer_kind::write, 1 + random.below(8));
            if (trouble == 3) disk_.faults().fail(transfer_kind::sync, 1 + random.below(4));
            auto       opened   = store_type::open(device_, store_options());
            const bool troubled = !disk_.cut().powered() || disk_failed_since(faults);
            hash_.add(opened);
            if (opened && !troubled) {
                store_ = std::move(opened).value();
                return true;
            }
            if (!opened && !troubled) return fail("it does not open: " + said(opened)), false;
            if (opened) static_cast<void>(opened.value().abandon());
            disk_.restart(random.next());
        }
    }

    void reopen() {
        heal();
        disk_.cut().cut_after(never);
        if (writing_ended()) return recover(cut_seed_);
        if (const auto done = store_.close(); !done) return fail("close: " + said(done));
        auto opened = store_type::open(device_, store_options());
        if (!opened) return fail("open after close: " + said(opened));
        store_ = std::move(opened).value();
        ++counts_.reopened;
        auto found = read_all("after close and open");
        if (!found) return;
        model_state expected;
        for (const auto& owner : owners_) expected.insert(owner.model.state().begin(), owner.model.state().end());
        if (*found != expected) return fail("after close and open: " + difference(store_, expected));
        for (auto& owner : owners_) owner.settle(std::nullopt);
        if (auto wrong = findings_of(store_); !wrong.empty()) fail("verify after close and open: " + wrong);
    }

    simulated_setup              setup_;
    const simulation_options<B>& options_;
    manual_clock                 clock_{};
    running_hash                 hash_{};
    memory_device                medium_;
    simulated_disk               disk_;
    any_device                   top_;
    any_device                   device_;
    store_type                   store_{};
    std::vector<simulated_owner> owners_;

    std::vector<std::deque<simulated_step>> queues_;  // by thread; the last is maintenance's
    std::set<std::size_t>                   movers_;  // threads that are maintaining
    simulation_counts                       counts_{};
    std::string                             failure_;
    std::uint64_t                           stamps_           = 0;
    std::uint64_t                           rounds_           = 0;
    std::uint64_t                           cut_seed_         = 0;
    std::uint64_t                           failures_counted_ = 0;
    bool                                    halted_           = false;
    bool                                    rotten_           = false;
    bool                                    stuck_            = false;
};

}  // namespace ashlar::inline v0
