#pragma once
/// What a simulation does: a table of what a seed may choose, and a list of steps that it makes up.

#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/vocabulary/address.hpp>

#include <span>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// What a seed chooses from: each place of a list is as likely as the others. Narrow it to look closer at one thing.
struct simulation_table {
    std::vector<std::uint32_t> block_bytes{512, 512, 4096};
    std::vector<std::uint64_t> blocks{520, 900, 1400, 4400};  ///< At most 4 MiB of them.
    std::vector<std::uint64_t> journal_blocks{80, 96, 160};
    std::vector<std::size_t>   cache_blocks{24, 32, 64, 160};
    std::vector<std::size_t>   groups_loaded{1, 2};
    std::vector<std::size_t>   staging_bytes{8192, 32768};
    std::vector<std::size_t>   staged_bytes{0, 4096, 32768};  ///< For small writes that wait for their batch.
    std::vector<std::size_t>   unsynced_blocks{12, 48};
    std::vector<std::size_t>   threads{1, 1, 2, 3, 4};
    std::vector<bool>          background{true, true, false};  ///< Maintenance has a thread of its own.
    std::vector<std::uint32_t> switch_permille{20, 80, 300};
    std::vector<trim_leaves>   trimmed{trim_leaves::garbage, trim_leaves::zeros, trim_leaves::old_bytes};
    std::vector<failed_write>  failing_writes{failed_write::left_nothing, failed_write::wrote_all};
    std::vector<std::uint64_t> faults_permille{0, 40, 120};  ///< Of the steps.
    std::vector<std::size_t>   steps{40, 80};
};

/// What one seed chose.
struct simulated_setup {
    std::uint64_t seed            = 0;
    std::uint64_t schedule_seed   = 0;  ///< The threads' order.
    std::uint32_t block_bytes     = 512;
    std::uint64_t blocks          = 900;
    std::uint64_t journal_blocks  = 96;
    std::size_t   cache_blocks    = 96;
    std::size_t   groups_loaded   = 2;
    std::size_t   staging_bytes   = 8192;
    std::size_t   staged_bytes    = 4096;
    std::size_t   unsynced_blocks = 48;
    std::size_t   threads         = 1;
    bool          background      = false;
    std::uint32_t switch_permille = 80;
    trim_leaves   trimmed         = trim_leaves::garbage;
    failed_write  failing_writes  = failed_write::left_nothing;
    std::uint64_t faults_permille = 40;
    std::size_t   steps           = 60;

    [[nodiscard]] std::string text() const {
        static const char* const trims[] = {"old bytes", "zeros", "garbage"};
        return std::to_string(blocks) + " blocks of " + std::to_string(block_bytes) + ", a ring of " +
               std::to_string(journal_blocks) + ", a cache of " + std::to_string(cache_blocks) + ", " +
               std::to_string(groups_loaded) + " groups loaded, " + std::to_string(staging_bytes) + " bytes to copy, " +
               std::to_string(staged_bytes) + " bytes for small writes, batches of " + std::to_string(unsynced_blocks) +
               " blocks, " + std::to_string(threads) + " threads" + (background ? " and maintenance" : "") +
               " that switch at " + std::to_string(switch_permille) + " of 1000 places, trims leave " +
               trims[static_cast<std::size_t>(trimmed)] + ", failing writes leave " +
               (failing_writes == failed_write::wrote_all ? "all" : "nothing");
    }
};

[[nodiscard]] inline simulated_setup choose_setup(const simulation_table& table, std::uint64_t seed) {
    random_bits     random{seed * 0x9E37'79B9'7F4A'7C15U + 11};
    simulated_setup chosen;
    const auto      take = [&random](auto& into, const auto& list) {
        ASHLAR_ASSERT(!list.empty());
        into = list[static_cast<std::size_t>(random.below(list.size()))];
    };
    chosen.seed = chosen.schedule_seed = seed;
    take(chosen.block_bytes, table.block_bytes);
    take(chosen.blocks, table.blocks);
    chosen.blocks = std::min<std::uint64_t>(chosen.blocks, (std::uint64_t{4} << 20U) / chosen.block_bytes);
    take(chosen.journal_blocks, table.journal_blocks);
    take(chosen.cache_blocks, table.cache_blocks);
    take(chosen.groups_loaded, table.groups_loaded);
    take(chosen.staging_bytes, table.staging_bytes);
    take(chosen.staged_bytes, table.staged_bytes);
    take(chosen.unsynced_blocks, table.unsynced_blocks);
    take(chosen.threads, table.threads);
    take(chosen.background, table.background);
    take(chosen.switch_permille, table.switch_permille);
    take(chosen.trimmed, table.trimmed);
    take(chosen.failing_writes, table.failing_writes);
    take(chosen.faults_permille, table.faults_permille);
    take(chosen.steps, table.steps);
    return chosen;
}

enum class simulated_verb : std::uint8_t {
    create,
    write,
    append,
    truncate,
    punch,
    reserve,
    erase,
    transaction,
    dropped_transaction,
    read,
    sync,
    checkpoint,
    maintain,
    trim,
    verify,
    wait,
    fail_read,
    fail_write,
    fail_sync,
    fail_trim,
    rot,
    cut_after,
    // What follows is done when every thread has come to it, and by none of them.
    power_cut,
    reopen,
};

/// One thing that happens. Everything that it needs to know stands in it, so that it means the same where others are
/// left out: objects are named by the thread that made them and a slot, and a slot without an object makes it do
/// nothing.
struct simulated_step {
    simulated_verb verb   = simulated_verb::sync;
    std::size_t    thread = 0;
    std::size_t    slot   = 0;
    std::size_t    owner  = 0;  ///< Of the object that is read.
    std::uint64_t  a      = 0;  ///< Offset, size, number of a call, milliseconds.
    std::uint64_t  b      = 0;  ///< Length.
    std::uint64_t  seed   = 0;  ///< For the bytes, and for what a cut leaves.

    [[nodiscard]] bool        is_barrier() const noexcept { return verb >= simulated_verb::power_cut; }
    [[nodiscard]] std::string text() const;
};

inline std::string simulated_step::text() const {
    const auto object = " object " + std::to_string(slot);
    const auto range  = " " + std::to_string(b) + " bytes at " + std::to_string(a);
    const auto nth    = [this] { return "call " + std::to_string(a) + " from now"; };
    const auto what   = [&]() -> std::string {
        switch (verb) {
            case simulated_verb::create: return "creates" + object;
            case simulated_verb::write: return "writes to" + object + range;
            case simulated_verb::append: return "appends to" + object + " " + std::to_string(b) + " bytes";
            case simulated_verb::truncate: return "truncates" + object + " to " + std::to_string(a);
            case simulated_verb::punch: return "punches" + object + range;
            case simulated_verb::reserve: return "reserves for" + object + range;
            case simulated_verb::erase: return "erases" + object;
            case simulated_verb::transaction: return "commits a transaction (" + std::to_string(seed) + ")";
            case simulated_verb::dropped_transaction: return "drops a transaction (" + std::to_string(seed) + ")";
            case simulated_verb::read: return "reads" + object + " of thread " + std::to_string(owner);
            case simulated_verb::sync: return "syncs";
            case simulated_verb::checkpoint: return "makes a checkpoint";
            case simulated_verb::maintain: return "maintains, at most " + std::to_string(a) + " blocks";
            case simulated_verb::trim: return "trims, at most " + std::to_string(a) + " blocks";
            case simulated_verb::verify: return "verifies";
            case simulated_verb::wait: return "lets " + std::to_string(a) + " ms pass";
            case simulated_verb::fail_read: return "the device fails a read, " + nth();
            case simulated_verb::fail_write: return "the device fails a write, " + nth();
            case simulated_verb::fail_sync: return "the device fails a sync, " + nth();
            case simulated_verb::fail_trim: return "the device fails a trim, " + nth();
            case simulated_verb::rot:
                return "a bit rots in" + object + " or elsewhere, until its block is written; the object is read";
            case simulated_verb::cut_after: return "power goes after " + std::to_string(a) + " more writes";
            case simulated_verb::power_cut: return "power goes (" + std::to_string(seed) + ")";
            case simulated_verb::reopen: return "the store is closed and opened";
        }
        return "?";
    }();
    return is_barrier() ? what : "thread " + std::to_string(thread) + ": " + what;
}

inline constexpr std::size_t   simulated_slots         = 5;   ///< Objects that one thread may have.
inline constexpr std::uint64_t simulated_object_blocks = 40;  ///< No object becomes longer.

/// Makes the steps of a seed up.
class simulated_workload {
  public:
    /// `checks_data`: bits may rot, since the store notices.
    simulated_workload(const simulated_setup& setup, bool checks_data)
        : setup_{setup}, checks_data_{checks_data}, random_{setup.seed * 31 + 7} {}

    [[nodiscard]] std::vector<simulated_step> steps() {
        std::vector<simulated_step> made;
        while (made.size() < setup_.steps)
            made.push_back(random_.below(1000) < setup_.faults_permille ? fault() : work());
        return made;
    }

  private:
    [[nodiscard]] std::uint64_t length_max() const noexcept { return setup_.block_bytes * 6; }
    [[nodiscard]] std::uint64_t size_max() const noexcept { return setup_.block_bytes * 20; }

    simulated_step one(simulated_verb verb) {
        simulated_step step;
        step.verb   = verb;
        step.thread = static_cast<std::size_t>(random_.below(setup_.threads));
        step.slot   = static_cast<std::size_t>(random_.below(simulated_slots));
        step.seed   = random_.next() >> 32U;
        return step;
    }

    simulated_step work() {
        struct share {
            simulated_verb verb;
            std::uint64_t  much;
        };
        static constexpr share shares[] = {
            {simulated_verb::create, 14},   {simulated_verb::write, 24},      {simulated_verb::append, 14},
            {simulated_verb::truncate, 6},  {simulated_verb::punch, 6},       {simulated_verb::reserve, 4},
            {simulated_verb::erase, 5},     {simulated_verb::transaction, 8}, {simulated_verb::dropped_transaction, 2},
            {simulated_verb::read, 14},     {simulated_verb::sync, 12},       {simulated_verb::checkpoint, 2},
            {simulated_verb::maintain, 12}, {simulated_verb::trim, 3},        {simulated_verb::verify, 1},
            {simulated_verb::wait, 3},      {simulated_verb::reopen, 2}};
        std::uint64_t sum = 0;
        for (const auto& one_share : shares) sum += one_share.much;
        auto        left = random_.below(sum);
        const auto* at   = shares;
        for (; left >= at->much; ++at) left -= at->much;
        auto step = one(at->verb);
        fill(step);
        return step;
    }

    void fill(simulated_step& step) {
        step.owner = static_cast<std::size_t>(random_.below(setup_.threads));
        step.b     = 1 + random_.below(random_.below(4) == 0 ? length_max() : setup_.block_bytes + 200U);
        step.a     = random_.below(size_max() - step.b);
        if (step.verb == simulated_verb::truncate) step.a = random_.below(size_max());
        if (step.verb == simulated_verb::maintain || step.verb == simulated_verb::trim) step.a = 4 + random_.below(60);
        if (step.verb == simulated_verb::wait) step.a = 1 + random_.below(200);
        const bool tends = step.verb == simulated_verb::maintain || step.verb == simulated_verb::trim ||
                           step.verb == simulated_verb::verify;
        if (tends && setup_.background) step.thread = setup_.threads;
    }

    simulated_step fault() {
        const auto which = random_.below(checks_data_ ? 14 : 10);
        auto       step  = one(which < 4    ? simulated_verb::cut_after
                               : which < 6  ? simulated_verb::power_cut
                               : which < 7  ? simulated_verb::fail_read
                               : which < 8  ? simulated_verb::fail_write
                               : which < 9  ? simulated_verb::fail_sync
                               : which < 10 ? simulated_verb::fail_trim
                                            : simulated_verb::rot);
        step.a           = 1 + random_.below(
                                   step.verb == simulated_verb::fail_sync || step.verb == simulated_verb::fail_trim ? 3 : 20);
        step.b = random_.below(setup_.block_bytes * 8U);
        if (step.verb == simulated_verb::rot) step.a = random_.below(setup_.blocks);
        return step;
    }

    simulated_setup setup_;
    bool            checks_data_;
    random_bits     random_;
};

/// The steps as a list that a person can follow.
[[nodiscard]] inline std::string text_of(std::span<const simulated_step> steps) {
    std::string text;
    for (std::size_t i = 0; i < steps.size(); ++i) text += "  " + std::to_string(i + 1) + ". " + steps[i].text() + "\n";
    return text;
}

}  // namespace ashlar::inline v0
