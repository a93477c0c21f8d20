#pragma once
/// A volume copied to another one: what is in use, in order, resumable.

#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/maintenance/volume_copy_report.hpp>
#include <ashlar/object/object_import.hpp>
#include <ashlar/regions.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/vocabulary/progress.hpp>

namespace ashlar::inline v0 {

/// Copies objects with their ids, attributes, holes, reserved and pinned extents, and users' regions, into an empty
/// volume of the same block size, of any other size and with records of any width. The target is a volume like any
/// other meanwhile, and safe against power cuts: a copy that was stopped or cut goes on in another `volume_copy` on the
/// same two volumes. A region COPY in the target says whose copy it is, and goes as the last step; a volume that has it
/// is not complete.
///
/// What is read is proved by the source's checksums, and the target makes its own. Metadata is not copied but made
/// anew: so objects come out whole, and free space in one piece where the target is large enough. Precondition: both
/// stores outlive it, and nobody changes either meanwhile; a source that is opened for reading only does not. Safe
/// from: one thread at a time.
template <Blueprint From, Blueprint To, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class volume_copy {
  public:
    static constexpr std::uint32_t marker_type = tag_of("COPY");

    /// Errors: invalid_argument where the block sizes differ; busy where the target holds something else, or the source
    /// is itself no complete copy; workspace_too_small; those of both stores.
    [[nodiscard]] static result<volume_copy> open(store<From>& from, store<To>& to, volume_copy_options chosen = {},
                                                  Throttle throttle = {}, C clock = {}) noexcept {
        const auto size = from.volume().geometry.block;
        if (to.volume().geometry.block != size || chosen.chunk.value == 0) return errc::invalid_argument;
        const block_count most{to.volume().limits.transaction.data_blocks};
        if (chosen.chunk > most) chosen.chunk = most;
        BOOST_OUTCOME_TRY(auto memory,
                          aligned_buffer::allocate(static_cast<std::size_t>(bytes_of(chosen.chunk, size))));
        volume_copy made{from, to, chosen, std::move(memory), std::move(throttle), std::move(clock)};
        BOOST_OUTCOME_TRY(made.begin());
        return made;
    }

    /// Cost: every record and every extent of the source.
    [[nodiscard]] result<volume_copy_estimate> estimate() noexcept { return estimate(*from_); }
    /// Before there is a target.
    [[nodiscard]] static result<volume_copy_estimate> estimate(store<From>& from) noexcept {
        volume_copy_estimate said;
        for (std::uint64_t record = 0; record < from.volume().space.totals().records_high_water; ++record) {
            BOOST_OUTCOME_TRY(const auto seen, see(from, record));
            if (!seen.in_use) continue;
            ++said.objects;
            auto pieces = from.extents(seen.id);
            for (const auto& piece : pieces) (piece.unwritten ? said.reserved : said.blocks) += piece.physical.count;
            if (pieces.failure().code != errc::none) return pieces.failure();
        }
        store_regions source{from};
        for (std::uint32_t i = 0; i < source.count(); ++i) {
            BOOST_OUTCOME_TRY(const auto one, source.at(i));
            if (one.engine) continue;
            ++said.regions;
            said.blocks += one.place.count;
        }
        said.skipped = from.volume().geometry.blocks - said.blocks;
        return said;
    }

    /// Copies on, at most the budget's blocks and about as many records. What was copied is durable when it says
    /// finished. Errors are in `failure`, with `device_error`; the next step tries again where it stopped.
    [[nodiscard]] progress step(step_budget budget = {}) noexcept {
        progress said;
        turn     now{block_count{budget.blocks_max}, budget.candidates_max};
        while (said.reasons.none()) {
            const auto done = advance(now, said);
            if (done.has_value()) continue;
            said.failure = done.error();
            said.reasons |= stop_reason::device_error;
        }
        said.phase = static_cast<std::uint32_t>(phase_);
        said.done  = record_;
        said.total = from_->volume().space.totals().records_high_water;
        said.moved = result_.blocks;
        return said;
    }

    [[nodiscard]] const volume_copy_result& last_result() const noexcept { return result_; }

  private:
    struct turn {
        block_count   blocks{};
        std::uint64_t looks = 0;
    };
    /// Block 0 of the region that says whose copy the target is.
    struct marker {
        char      magic[8]{};
        std::byte source[16]{};
    };
    static constexpr region_id marker_name{marker_type, 0};
    static constexpr char      magic[8] = {'A', 'S', 'H', 'C', 'O', 'P', 'Y', '1'};

    volume_copy(store<From>& from, store<To>& to, const volume_copy_options& chosen, aligned_buffer&& memory,
                Throttle&& throttle, C&& clock) noexcept
        : from_{&from},
          to_{&to},
          options_{chosen},
          memory_{std::move(memory)},
          throttle_{std::move(throttle)},
          clock_{std::move(clock)} {}

    [[nodiscard]] block_size size() const noexcept { return from_->volume().geometry.block; }

    // The beginning and the end: the mark. ---------------------------------------------------------------------------

    result<> begin() noexcept {
        auto& source = from_->volume();
        if (index_of_region(source, marker_name) != source.regions.slots()) return errc::busy;
        const auto& target = to_->volume();
        const bool  marked = store_regions{*to_}.find(marker_name).has_value();
        BOOST_OUTCOME_TRY(const bool empty, is_empty());
        if (empty) return mark(marked);  // the mark of a copy that was cut at once may not have been written
        if (!marked) return errc::busy;
        result_.resumed = true;
        BOOST_OUTCOME_TRY(expect_mark());
        // All records but the last are whole: what was copied later cannot have outlasted what was copied before.
        record_ = target.space.totals().records_high_water - 1;
        return success();
    }

    /// Whether the target has nothing but its root and perhaps a mark.
    result<bool> is_empty() noexcept {
        store_regions regions{*to_};
        for (std::uint32_t i = 0; i < regions.count(); ++i) {
            BOOST_OUTCOME_TRY(const auto one, regions.at(i));
            if (!one.engine && one.name != marker_name) return false;
        }
        BOOST_OUTCOME_TRY(const auto root, to_->info(to_->root()));
        return to_->volume().space.totals().records_high_water == 1 && root.size == 0 && root.extents == 0;
    }

    result<> mark(bool marked) noexcept {
        store_regions regions{*to_};
        if (!marked) { BOOST_OUTCOME_TRY(regions.add({.type = marker_type, .blocks = block_count{1}})); }
        BOOST_OUTCOME_TRY(auto region, regions.open(marker_name));
        const auto block = memory_.bytes().first(size().bytes);
        std::memset(block.data(), 0, block.size());
        store_struct(block, mark_of_source());
        BOOST_OUTCOME_TRY(region.write({block_index{0}, block_count{1}}, block));
        return region.sync();
    }
    result<> expect_mark() noexcept {
        BOOST_OUTCOME_TRY(auto region, store_regions{*to_}.open(marker_name));
        const auto block = memory_.bytes().first(size().bytes);
        BOOST_OUTCOME_TRY(region.read({block_index{0}, block_count{1}}, block));
        const auto expected = mark_of_source();
        if (std::memcmp(block.data(), &expected, sizeof expected) != 0) return errc::busy;
        return success();
    }
    [[nodiscard]] marker mark_of_source() const noexcept {
        marker made;
        std::memcpy(made.magic, magic, sizeof magic);
        std::memcpy(made.source, from_->volume().id.data(), sizeof made.source);
        return made;
    }

    result<> finish(progress& said) noexcept {
        BOOST_OUTCOME_TRY(to_->sync());
        BOOST_OUTCOME_TRY(store_regions{*to_}.remove(marker_name));
        BOOST_OUTCOME_TRY(to_->checkpoint());
        phase_           = copy_phase::finished;
        result_.finished = true;
        said.reasons |= stop_reason::finished;
        return success();
    }

    // Each of these does one thing and comes back. -------------------------------------------------------------------

    result<> advance(turn& now, progress& said) noexcept {
        switch (phase_) {
            case copy_phase::objects: return inside_ ? copy_object(now, said) : next_record(now, said);
            case copy_phase::regions: return inside_ ? copy_region(now, said) : next_region(said);
            case copy_phase::finished: said.reasons |= stop_reason::finished;
        }
        return success();
    }

    result<> next_record(turn& now, progress& said) noexcept {
        auto& source = from_->volume();
        if (record_ == source.space.totals().records_high_water) {
            phase_ = copy_phase::regions;
            return success();
        }
        if (now.looks == 0) {
            said.reasons |= stop_reason::budget_spent;
            return success();
        }
        --now.looks;
        BOOST_OUTCOME_TRY(const auto seen, see(*from_, record_));
        if (record_ >= to_->volume().space.totals().records_high_water) {
            const entered guard{to_->volume()};
            BOOST_OUTCOME_TRY(import_record(to_->volume(), record_, seen));
        } else if (seen.in_use) {  // the last one of a copy that was cut, or the root
            BOOST_OUTCOME_TRY(empty(seen.id));
        }
        if (!seen.in_use) {
            ++record_;
            return success();
        }
        BOOST_OUTCOME_TRY(object_, from_->info(seen.id));
        inside_ = true;
        at_     = {};
        return success();
    }

    static result<record_seen> see(store<From>& from, std::uint64_t record) noexcept {
        auto&         source = from.volume();
        const entered guard{source};
        return with_loads(source, [&]() noexcept { return see_record(source, record); });
    }

    /// What an object has is begun again.
    result<> empty(object_id id) noexcept {
        BOOST_OUTCOME_TRY(to_->unpin(id, 0, object_bytes_max));
        return to_->truncate(id, 0);
    }

    result<> copy_object(turn& now, progress& said) noexcept {
        BOOST_OUTCOME_TRY(const auto next, from_->next_extent(object_.id, at_));
        const auto offset = next ? byte_offset_of(*next) : object_.size;
        if (!next || (!next->unwritten && offset >= object_.size)) return end_object();
        const auto skip  = at_ > next->logical ? at_ - next->logical : block_count{};
        const auto part  = part_of(next->physical, skip, next->physical.count);
        const auto first = byte_offset(block_index{(next->logical + skip).value}, size());
        if (next->unwritten) {
            BOOST_OUTCOME_TRY(to_->reserve(object_.id, first, bytes_of(part.count, size())));
            at_ = next->logical + next->physical.count;
        } else {
            const auto blocks = granted(now, said, part.count);
            if (blocks.value == 0) return success();
            auto done = copy_bytes(first, bytes_of(blocks, size()));
            copied(now, blocks);
            BOOST_OUTCOME_TRY(done);
            at_ = next->logical + skip + blocks;
        }
        if (next->pinned && at_ == next->logical + next->physical.count)
            return to_->pin(object_.id, byte_offset_of(*next), bytes_of(next->physical.count, size()));
        return success();
    }
    [[nodiscard]] std::uint64_t byte_offset_of(const mapped_extent& piece) const noexcept {
        return byte_offset(block_index{piece.logical.value}, size());
    }
    result<> copy_bytes(std::uint64_t offset, std::uint64_t length) noexcept {
        const auto bytes = memory_.bytes().first(static_cast<std::size_t>(std::min(length, object_.size - offset)));
        BOOST_OUTCOME_TRY(const auto read, from_->read(object_.id, offset, bytes));
        if (read != bytes.size()) return errc::raced;
        return to_->write(object_.id, offset, bytes);
    }

    result<> end_object() noexcept {
        BOOST_OUTCOME_TRY(to_->truncate(object_.id, object_.size));
        BOOST_OUTCOME_TRY(to_->set_attributes(object_.id, object_.attributes));
        inside_ = false;
        ++record_;
        ++result_.objects;
        return success();
    }

    result<> next_region(progress& said) noexcept {
        store_regions source{*from_};
        if (slot_ == source.count()) return finish(said);
        BOOST_OUTCOME_TRY(region_, source.at(slot_));
        if (region_.engine) {
            ++slot_;
            return success();
        }
        store_regions target{*to_};
        const auto    known = target.find(region_.name);
        if (known.has_error()) {
            BOOST_OUTCOME_TRY(
                target.add({.type = region_.name.type, .blocks = region_.place.count, .number = region_.name.number}));
        }
        inside_ = true;
        at_     = {};
        return success();
    }

    result<> copy_region(turn& now, progress& said) noexcept {
        BOOST_OUTCOME_TRY(auto source, store_regions{*from_}.open(region_.name));
        BOOST_OUTCOME_TRY(auto target, store_regions{*to_}.open(region_.name));
        const block_count left{region_.place.count.value - at_.value};
        if (left.value == 0) {
            BOOST_OUTCOME_TRY(target.sync());
            BOOST_OUTCOME_TRY(store_regions{*to_}.pin(region_.name, region_.pinned));
            inside_ = false;
            ++slot_;
            ++result_.regions;
            return success();
        }
        const auto blocks = granted(now, said, left);
        if (blocks.value == 0) return success();
        const extent part{block_index{at_.value}, blocks};
        const auto   bytes = memory_.bytes().first(static_cast<std::size_t>(bytes_of(blocks, size())));
        auto         done  = source.read(part, bytes);
        if (done.has_value()) done = target.write(part, bytes);
        copied(now, blocks);
        BOOST_OUTCOME_TRY(done);
        at_ = at_ + blocks;
        return success();
    }

    /// How many blocks may be copied now; none: the step ends.
    block_count granted(turn& now, progress& said, block_count wanted) noexcept {
        if (now.blocks.value == 0) {
            said.reasons |= stop_reason::budget_spent;
            return {};
        }
        const auto most = std::min({wanted, now.blocks, options_.chunk});
        grant_          = throttle_.acquire({bytes_of(most, size()), size().bytes}, clock_.now());
        if (grant_.bytes == 0) {
            said.reasons |= stop_reason::throttled;
            said.not_before = grant_.not_before;
            return {};
        }
        return std::min(whole_blocks(grant_.bytes, size()), most);
    }
    void copied(turn& now, block_count blocks) noexcept {
        throttle_.release(grant_.bytes, clock_.now());
        now.blocks -= blocks;
        result_.blocks += blocks;
    }

    store<From>*                   from_;
    store<To>*                     to_;
    volume_copy_options            options_;
    aligned_buffer                 memory_;
    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    io_grant                       grant_{};
    copy_phase                     phase_  = copy_phase::objects;
    std::uint64_t                  record_ = 0;  ///< The one that is copied, or the next.
    object_info                    object_{};
    bool                           inside_ = false;  ///< `object_`, or the region, is under way.
    logical_block                  at_{};
    std::uint32_t                  slot_ = 0;
    region_info                    region_{};
    volume_copy_result             result_{};
};

}  // namespace ashlar::inline v0
