#pragma once
/// The way through the objects of a volume that is copied: what is read next, and what becomes of it.

#include <ashlar/copy/copy_target.hpp>
#include <ashlar/maintenance/volume_copy_report.hpp>
#include <ashlar/vocabulary/progress.hpp>

namespace ashlar::inline v0 {

/// One pass over all records. Fills batches; nothing of a batch reaches the target before it is run, but the records
/// themselves.
template <Blueprint From, Blueprint To>
class copy_walk {
  public:
    explicit copy_walk(const volume_copy_options& options) noexcept
        : chunk_{options.chunk}, together_{options.chunk.value * std::max<std::uint32_t>(1, options.chunks_together)} {}

    /// From the first record on. Of the objects that the target has, those with a generation up to `trusted` and the
    /// source's own are whole.
    void begin(std::uint64_t end, std::uint64_t trusted) noexcept {
        record_  = 0;
        end_     = end;
        trusted_ = trusted;
        inside_  = false;
    }
    /// Begins again with that record: what was read since is lost.
    void go_back(std::uint64_t record) noexcept {
        record_ = std::min(record, record_);
        inside_ = false;
    }

    [[nodiscard]] bool          over() const noexcept { return !inside_ && record_ >= end_; }
    [[nodiscard]] std::uint64_t record() const noexcept { return record_; }
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    [[nodiscard]] block_count   kept() const noexcept { return kept_; }

    /// Fills an empty batch until it is full, the pass is over, or the budget refuses.
    template <class Budget>
    result<> fill(copy_batch& batch, copy_source<From>& source, copy_target<From, To>& target, Budget& budget,
                  progress& said) noexcept {
        if (inside_) {
            object_.reached = at_;
            batch.add(object_);
        }
        while (said.reasons.none() && !over()) {
            if (inside_) {
                if (!batch.has_room_for_act()) return success();
                BOOST_OUTCOME_TRY(const bool more, next_act(batch, source, target, budget, said));
                if (!more) return success();
            } else {
                if (!batch.has_room_for_object() || !budget.look(said)) return success();
                BOOST_OUTCOME_TRY(next_record(batch, source, target));
            }
        }
        return success();
    }

  private:
    result<> next_record(copy_batch& batch, copy_source<From>& source, copy_target<From, To>& target) noexcept {
        if (record_ >= source.records()) {
            BOOST_OUTCOME_TRY(target.drop(record_));
            ++record_;
            return success();
        }
        BOOST_OUTCOME_TRY(const auto seen, source.look(record_));
        BOOST_OUTCOME_TRY(const auto what, target.prepare(record_, seen, trusted_));
        if (!what.copies) {
            ++record_;
            return success();
        }
        object_ = {.seen = seen.object, .record = record_, .held = what.held};
        at_     = {};
        inside_ = true;
        batch.add(object_);
        return success();
    }

    void end_object(copy_batch& batch, bool raced) noexcept {
        auto& last = batch.objects().back();
        last.ends  = true;
        last.raced = raced;
        inside_    = false;
        ++record_;
    }

    /// The next piece of the object, or its end. False: the batch is full, or refused.
    template <class Budget>
    result<bool> next_act(copy_batch& batch, copy_source<From>& source, copy_target<From, To>& target, Budget& budget,
                          progress& said) noexcept {
        const auto& seen  = object_.seen;
        const auto  size  = target.volume().geometry.block;
        const auto  found = source.of().next_extent(seen.id, at_);
        if (found.has_error() && found.error().code != errc::not_found) return found.error();
        if (found.has_error()) {
            end_object(batch, true);
            return true;
        }
        const auto&         piece = found.value();
        const logical_block limit{blocks_for(seen.size, size).value};
        // What lies behind the end holds nothing; of an object that shrinks it waits to be freed.
        if (!piece || (piece->logical >= limit && (!piece->unwritten || seen.shrinking))) {
            end_object(batch, false);
            return true;
        }
        const auto first = std::max(at_, piece->logical);
        const auto run   = part_of(piece->physical, first - piece->logical, piece->physical.count);
        const auto end   = piece->logical + piece->physical.count;
        if (piece->unwritten) {
            batch.add(copy_act::verb::reserve, first, run.count);
            at_ = end;
        } else {
            const auto rest = first < limit ? part_of(run, {}, limit - first) : extent{};
            BOOST_OUTCOME_TRY(const bool went, data(batch, rest, first, source, target, budget, said));
            if (!went) return false;
            if (at_ == limit && end > limit) at_ = end;
        }
        if (piece->pinned && at_ == end) batch.add(copy_act::verb::pin, piece->logical, piece->physical.count);
        return true;
    }

    /// A run of data: kept where the target has it, else to be read.
    template <class Budget>
    result<bool> data(copy_batch& batch, extent run, logical_block first, copy_source<From>& source,
                      copy_target<From, To>& target, Budget& budget, progress& said) noexcept {
        const auto& seen = object_.seen;
        const auto  size = target.volume().geometry.block;
        auto        most = run.count > chunk_ ? std::min(run.count, together_) : run.count;
        if (object_.held) {
            BOOST_OUTCOME_TRY(const auto there,
                              target.compare(source.volume(), seen.id, first, part_of(run, {}, most)));
            if (there.same) {
                batch.add(copy_act::verb::keep, first, there.blocks);
                kept_ += there.blocks;
                at_ = first + there.blocks;
                return true;
            }
            most = std::min(most, there.blocks);
        }
        most = std::min(most, whole_blocks(batch.memory_left().size(), size));
        if (most.value == 0) return false;
        const auto given = budget.take(most, size, said);
        if (given.blocks.value == 0) return false;
        auto& act    = batch.add(copy_act::verb::write, first, given.blocks);
        act.physical = run.first;
        act.granted  = given.bytes;
        batch.lend(act, size);
        const auto offset = byte_offset(first, size);
        const auto bytes  = std::min<std::uint64_t>(act.memory.size(), seen.size - offset);
        const auto wanted = act.memory.first(static_cast<std::size_t>(bytes));
        std::memset(act.memory.data() + wanted.size(), 0, act.memory.size() - wanted.size());
        act.asked = {.verb = request_verb::read, .object = seen.id, .offset = offset, .memory = wanted};
        at_       = first + given.blocks;
        return true;
    }

    block_count   chunk_;
    block_count   together_;
    std::uint64_t record_  = 0;  ///< The one that is copied, or the next.
    std::uint64_t end_     = 0;
    std::uint64_t trusted_ = 0;
    copied_object object_{};
    logical_block at_{};
    bool          inside_ = false;  ///< `object_` is under way.
    block_count   kept_{};
};

}  // namespace ashlar::inline v0
