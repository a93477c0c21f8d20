#pragma once
/// Tells the device which blocks are free. The second bitmap says which free blocks it already knows, so what is left
/// to trim survives a restart.

#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

/// What one trim step did.
struct trim_report {
    block_count   blocks{};  ///< Trimmed, and covered by a sync.
    std::uint64_t runs = 0;  ///< Transfers sent.
    bool          finished =
        false;  ///< Every free block of the volume is known to be trimmed, but for runs under the granularity.
};

/// Trims free runs in steps. While a run is being trimmed it is reserved, so that nobody writes into it (R3); it counts
/// as trimmed only after the sync that follows (R3), in the batch that is open then.
template <class Volume>
class trimmer {
  public:
    static constexpr std::size_t runs_at_once   = 16;
    static constexpr std::size_t blocks_per_run = 3;  ///< Of metadata: bitmap of the trimmed, group record, totals.

    explicit trimmer(Volume& volume) noexcept : volume_{volume} {}

    /// Trims at most `blocks_max` blocks. Errors: read_only; those of the device, of a failed sync as of any (R15); a
    /// device that cannot trim answers with its own error, and nothing is noted.
    result<trim_report> step(block_count blocks_max) noexcept {
        // A small cache or journal does not take so many runs in one batch.
        const std::size_t granted  = usual_grant(volume_) / blocks_per_run;
        const std::size_t runs_max = granted < 1 ? 1 : granted < runs_at_once ? granted : runs_at_once;
        BOOST_OUTCOME_TRY(admit(volume_, blocks_per_run * runs_max));
        trim_report         report;
        const std::uint64_t groups = volume_.geometry.groups;
        for (std::uint64_t looked = 0; looked < groups && report.blocks < blocks_max && report.runs < runs_max;
             ++looked) {
            BOOST_OUTCOME_TRY(const auto some,
                              collect(volume_.trim_group, blocks_max - report.blocks, runs_max - report.runs));
            if (!some) {
                volume_.trim_group = volume_.trim_group + 1 < groups ? volume_.trim_group + 1 : 0;
                report.finished    = looked + 1 == groups && report.runs == 0;
                continue;
            }
            auto trimmed = trim_runs(report);
            // Where writing has ended no sync will follow the trims: an operation that is under way must not get them.
            BOOST_OUTCOME_TRY(volume_.writable());
            for (std::size_t i = 0; i < count_; ++i) volume_.space.release(runs_[i], volume_.geometry.block);
            BOOST_OUTCOME_TRY(trimmed);
        }
        return report;
    }

  private:
    /// Reserves runs of the group that are free and not known to be trimmed. Answers whether there were any.
    result<bool> collect(std::uint64_t group, block_count most, std::uint64_t runs_max) noexcept {
        count_                = 0;
        const block_size size = volume_.geometry.block;
        BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
        if (known.free <= known.trimmed) return false;
        block_pin pin;
        if (known.trimmed_written) { BOOST_OUTCOME_TRY(pin, volume_.metadata().get(volume_.regions.trimmed(group))); }
        // The window comes last: beside a wait for a block it might become that of another group.
        BOOST_OUTCOME_TRY(const auto view, volume_.space.window(volume_.metadata(), group));
        const auto untrimmed = volume_.space.scratch();
        clear_bitmap(untrimmed, view.blocks);
        if (known.trimmed_written) load_bitmap(untrimmed, volume_.cache.bytes(pin.slot()), view.blocks);
        for (std::size_t w = 0; w < words_for(view.blocks); ++w) untrimmed[w] |= view.busy[w];
        const auto least = static_cast<std::uint32_t>(volume_.device.geometry().trim_granularity.value);
        for_each_clear_run(std::span<const bitmap_word>{untrimmed}, 0, view.blocks, 1, [&](group_run run) noexcept {
            if (run.count < least) return true;
            if (run.count > most.value) run.count = static_cast<std::uint32_t>(most.value);
            if (run.count == 0 || !volume_.space.can_reserve()) return false;
            const extent blocks{first_of_group(group, size) + block_count{run.first}, block_count{run.count}};
            volume_.space.reserve_run(blocks, size);
            runs_[count_++] = blocks;
            most -= blocks.count;
            return count_ < runs_max;
        });
        return count_ != 0;
    }

    /// The runs may be written again when this returns: whatever of a trim was done, also of one that failed, is behind
    /// a sync by then.
    result<> trim_runs(trim_report& report) noexcept {
        result<>   sent   = success();
        const auto synced = volume_.lock.outside([&]() noexcept {
            for (std::size_t i = 0; i < count_ && sent.has_value(); ++i) sent = volume_.device.trim(runs_[i]);
            return volume_.device.sync();
        });
        if (synced.has_error()) return volume_.end_writing(synced.error());
        BOOST_OUTCOME_TRY(sent);
        await_quiet(volume_);
        for (std::size_t i = 0; i < count_; ++i) {
            BOOST_OUTCOME_TRY(volume_.space.note_trimmed(volume_.metadata(), runs_[i]));
            report.blocks += runs_[i].count;
            ++report.runs;
        }
        return success();
    }

    Volume&     volume_;
    extent      runs_[runs_at_once]{};
    std::size_t count_ = 0;
};

}  // namespace ashlar::inline v0
