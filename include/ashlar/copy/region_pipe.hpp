#pragma once
/// A region of a volume that is copied: many reads in flight beside many writes.

#include <ashlar/copy/copy_target.hpp>

#include <array>
#include <optional>

namespace ashlar::inline v0 {

/// Transfers in the memory of the batches, which are empty meanwhile. What was read is written at once, and its memory
/// is used again as soon as that is done. The source is asked through a queue of the region, where each transfer finds
/// its blocks when it begins: so the region may move, and lie in parts.
template <Blueprint From, Blueprint To>
class region_pipe {
  public:
    using lanes = std::array<std::span<copy_act>, 2>;

    /// What became of a run.
    struct outcome {
        block_count copied{};
        block_count reached{};     ///< All that was named before it is copied.
        error       failure{};     ///< Of the first transfer in the region that failed.
        bool        read = false;  ///< It was a read.
    };

    /// Copies what `next(at, most)` names, from `at` on, until that is nothing, the budget refuses or a transfer fails.
    /// Afterwards nothing is in flight. Error: a queue did not open, or it broke; `sum` holds then too.
    template <class Budget, class Next>
    result<> run(store<From>& from, copy_target<From, To>& to, region_id name, const lanes& memory, block_count at,
                 Budget& budget, progress& said, outcome& sum, Next&& next) noexcept {
        lanes_     = memory;
        sum        = {.reached = at};
        failed_at_ = first_missing_ = unknown;
        BOOST_OUTCOME_TRY(writing_, to.queue());
        if (!reading_) { BOOST_OUTCOME_TRY(reading_, source_queue::open(from.volume(), name, {.depth = depth})); }
        place_          = region_place{name};
        result<> answer = success();
        for (bool over = false; answer.has_value();) {
            if (!over && sum.failure.code == errc::none && said.reasons.none())
                over = !begin_reads(to.volume().geometry.block, budget, said, sum.reached, next);
            const bool reads = reading_->in_flight() != 0, writes = writing_->in_flight() != 0;
            if (!reads && !writes) break;
            if (reads) answer = await_reads(to.volume(), budget, sum);
            if (answer.has_value() && writing_->in_flight() != 0) answer = await_writes(reads ? 0 : 1, budget, sum);
        }
        if (answer.has_error()) abandon(to, budget);
        if (first_missing_ != unknown) sum.reached = first_missing_;
        return answer;
    }

    /// Waits for nothing: between runs nothing is in flight.
    void close() noexcept { reading_.reset(); }

  private:
    using source_queue  = region_queue<typename store<From>::volume_type>;
    using target_volume = typename store<To>::volume_type;

    static constexpr block_count unknown{~std::uint64_t{0}};
    static constexpr std::size_t depth = 2 * copy_batch::lanes_max;

    /// As many as there are lanes. False: there is nothing more to be read.
    template <class Budget, class Next>
    bool begin_reads(block_size size, Budget& budget, progress& said, block_count& at, Next& next) noexcept {
        for (std::size_t side = 0; side < lanes_.size(); ++side) {
            for (std::size_t i = 0; i < lanes_[side].size(); ++i) {
                auto& lane = lanes_[side][i];
                if (lane.sent) continue;
                const auto part = next(at, whole_blocks(lane.memory.size(), size));
                if (part.empty()) return false;
                const auto given = budget.take(part.count, size, said);
                if (given.blocks.value == 0) return true;
                lane.granted = given.bytes;
                lane.sent    = true;
                lane.first   = {part.first.value};
                lane.count   = given.blocks;
                lane.put     = {.blocks = {part.first, given.blocks},
                                .memory = lane.memory.data(),
                                .token  = i * lanes_.size() + side,
                                .kind   = transfer_kind::read};
                reading_->submit(lane.put);
                at = block_count{part.first.value} + given.blocks;
            }
        }
        return true;
    }

    [[nodiscard]] copy_act& lane_of(const transfer& one) noexcept {
        const auto number = static_cast<std::size_t>(one.token);
        return lanes_[number % lanes_.size()][number / lanes_.size()];
    }

    /// Writes what was read, unless something failed already: then it is read again.
    template <class Budget>
    result<> await_reads(target_volume& to, Budget& budget, outcome& sum) noexcept {
        std::array<transfer*, depth> finished;
        BOOST_OUTCOME_TRY(const auto count, reading_->complete(finished, 1));
        for (auto* const done : std::span{finished}.first(count)) {
            auto& lane = lane_of(*done);
            if (done->failure.code != errc::none) {
                end(lane, done->failure, true, budget, sum);
            } else if (sum.failure.code != errc::none) {
                drop(lane, budget);
            } else if (const auto sent = begin_write(to, lane); sent.has_error()) {
                end(lane, sent.error(), false, budget, sum);
            } else if (!sent.value()) {
                end(lane, {}, false, budget, sum);
            }
        }
        return success();
    }
    template <class Budget>
    result<> await_writes(std::size_t at_least, Budget& budget, outcome& sum) noexcept {
        std::array<transfer*, depth> finished;
        BOOST_OUTCOME_TRY(const auto count, writing_->complete(finished, at_least));
        for (auto* const done : std::span{finished}.first(count))
            end(lane_of(*done), done->failure, false, budget, sum);
        return success();
    }

    /// False: it is done already, as where the region's blocks do not follow each other. Nobody else writes to the
    /// target, and nothing moves in it.
    result<bool> begin_write(target_volume& to, copy_act& lane) noexcept {
        const extent  logical{block_index{lane.first.value}, lane.count};
        const entered guard{to};
        BOOST_OUTCOME_TRY(to.writable());
        BOOST_OUTCOME_TRY(const auto blocks, place_.resolve(to, logical));
        if (blocks.count != logical.count) {
            const auto bytes = static_cast<std::size_t>(bytes_of(lane.count, to.geometry.block));
            BOOST_OUTCOME_TRY(write_region(to, place_, logical, lane.memory.first(bytes)));
            return false;
        }
        lane.put = {
            .blocks = blocks, .memory = lane.memory.data(), .token = lane.put.token, .kind = transfer_kind::write};
        writing_->submit(lane.put);
        return true;
    }

    template <class Budget>
    void end(copy_act& lane, error why, bool read, Budget& budget, outcome& sum) noexcept {
        if (why.code == errc::none) {
            sum.copied += lane.count;
            give_back(lane, budget);
            return;
        }
        if (const block_count at{lane.first.value}; at < failed_at_) {
            failed_at_  = at;
            sum.failure = why;
            sum.read    = read;
        }
        drop(lane, budget);
    }
    template <class Budget>
    void drop(copy_act& lane, Budget& budget) noexcept {
        first_missing_ = std::min(first_missing_, block_count{lane.first.value});
        give_back(lane, budget);
    }
    template <class Budget>
    static void give_back(copy_act& lane, Budget& budget) noexcept {
        budget.give_back(lane.granted);
        lane.sent = false;
    }

    /// A queue that broke waits for what it still has; none of it counts.
    template <class Budget>
    void abandon(copy_target<From, To>& to, Budget& budget) noexcept {
        reading_.reset();
        to.drop_queue();
        for (const auto& side : lanes_) {
            for (auto& lane : side) {
                if (lane.sent) drop(lane, budget);
            }
        }
    }

    using target_queue = typename copy_target<From, To>::queue_type;

    lanes                       lanes_{};
    std::optional<source_queue> reading_{};
    target_queue*               writing_ = nullptr;  ///< While `run` lasts.
    region_place                place_{};
    block_count                 failed_at_{};
    block_count                 first_missing_{};
};

}  // namespace ashlar::inline v0
