#pragma once
/// A region that slides, as something whose next part can be moved.

#include <ashlar/region/region_source.hpp>

namespace ashlar::inline v0 {

/// A model of RelocationHost whose only move is the next part of the slide that is under way. As the region is moved
/// into blocks of which it left some itself a moment ago, a target is given out only when the flip that left it is
/// confirmed and its readers are gone (R3, R14). What region_source says of writers holds here for the part.
template <class Volume>
class slide_source : public region_source<Volume> {
    using base = region_source<Volume>;
    using base::memory_;
    using base::volume_;

  public:
    using typename base::queue_type;

    slide_source(Volume& volume, const region_move_memory& memory, extent part, queue_type* queue = nullptr) noexcept
        : base{volume, memory, {}, queue}, part_{part} {}

    /// The next part, at most so many blocks; empty where none is left. Half of the room below at a time, so that the
    /// batch of one part confirms the one before it, which left the target of the next; and no more than a transaction
    /// may say in the table, or the table has room for. Empty too where memory has room for no entry.
    /// Precondition: the volume is entered.
    [[nodiscard]] static extent next_part(const Volume& volume, const region_slide& slide, block_count most) noexcept {
        const std::uint64_t entries =
            std::uint64_t{table_blocks_at_once} * indirection_entries_in(volume.geometry.block);
        const std::uint64_t half = slide.below.count.value < 2 ? 1 : slide.below.count.value / 2;
        const auto          room = entries_at_once(volume, slide).value;
        return {block_index{slide.moved.value}, {std::min({half, entries, most.value, slide.left().value, room})}};
    }

    result<mapping_view> mapping(object_id owner, logical_block first, block_count blocks,
                                 std::span<mapped_extent> pieces) noexcept {
        const entered guard{volume_};
        BOOST_OUTCOME_TRY(const auto slide, slide_of(owner));
        mapping_view view{.generation = generation_of(slide)};
        const auto   asked = common_part({block_index{first.value}, blocks}, part_);
        if (asked.empty() || part_.first.value != slide.moved.value) return view;
        view.pieces = 1;
        pieces[0]   = {.logical  = {asked.first.value},
                       .physical = {slide.from({asked.first.value}), asked.count},
                       .pinned   = (slide.region.flags & region_flag::pinned) != 0};
        return view;
    }

    /// Errors: read_only; busy where a region moves, or the blocks may not be written yet; not_found where the slide is
    /// not what it was; those of the device, after which writing has ended.
    result<extent> reserve_target(target_request target) noexcept {
        const entered guard{volume_};
        BOOST_OUTCOME_TRY(volume_.writable());
        BOOST_OUTCOME_TRY(motion_scope<Volume>::begin(volume_, *memory_.motion));
        auto given = reserve_here(target);
        if (given.has_error()) motion_scope<Volume>::end(volume_);
        return given;
    }
    void release_target(extent) noexcept {
        const entered guard{volume_};
        motion_scope<Volume>::end(volume_);
    }

    result<bool> flip(object_id owner, logical_block first, block_count, std::uint64_t generation,
                      extent target) noexcept {
        const entered guard{volume_};
        return this->ended(flip_here(owner, first, generation, target), target.count);
    }

  private:
    static constexpr std::uint32_t table_blocks_at_once = 4;
    static constexpr int           tries_max            = 4;
    static constexpr unsigned      waits_max            = 64;

    result<region_slide> slide_of(object_id owner) noexcept {
        const auto slide = find_slide(volume_);
        if (!slide || name_of(slide->region) != base::region_of(owner)) return errc::not_found;
        return *slide;
    }
    /// Changes with the region and with each part; does not repeat while a move is under way.
    [[nodiscard]] static std::uint64_t generation_of(const region_slide& slide) noexcept {
        return std::uint64_t{slide.region.generation} << 32U | (slide.moved.value & 0xFFFFFFFFU);
    }

    result<extent> reserve_here(target_request target) noexcept {
        const auto slide = find_slide(volume_);
        if (!slide || slide->from(slide->moved) != target.goal || part_.first.value != slide->moved.value ||
            target.blocks != part_.count) {
            return errc::not_found;
        }
        *memory_.motion = region_motion{name_of(slide->region), slide->region.place().count, memory_.written};
        memory_.motion->only(part_);
        BOOST_OUTCOME_TRY(await_left(*slide));
        return extent{slide->to(slide->moved), target.blocks};
    }

    /// Waits until what the region left may be written. Of the parts before, the newest that lies in the target counts.
    result<> await_left(const region_slide& slide) noexcept {
        const auto end = part_.end().value;
        if (end <= slide.below.count.value) return success();  // nothing of it was the region's
        const auto& traffic = volume_.region_traffic;
        const bool  before  = end - slide.below.count.value <= traffic.left[1].end.value;
        const auto  wanted  = traffic.left[before ? 1 : 0];
        BOOST_OUTCOME_TRY(bool confirmed, is_confirmed(wanted.batch));
        for (int i = 0; i < tries_max && !confirmed; ++i) {
            BOOST_OUTCOME_TRY(flush(volume_));
            BOOST_OUTCOME_TRY(confirm_when_idle(volume_));
            BOOST_OUTCOME_TRY(confirmed, is_confirmed(wanted.batch));
        }
        if (!confirmed) return errc::busy;
        for (unsigned i = 0; i < waits_max && !volume_.space.readers_left(wanted.phase); ++i) {
            drain_if_idle(volume_);  // the readers' phase changes there
            if (!Volume::threading_type::concurrent || volume_.space.readers() <= volume_.channel_reads) continue;
            volume_.lock.wait();
        }
        return volume_.space.readers_left(wanted.phase) ? result<>{success()} : errc::busy;
    }
    /// Only who has the turn may ask the journal. Error: busy; see take_turn.
    result<bool> is_confirmed(sequence batch) noexcept {
        if constexpr (Volume::journal_type::durable) {
            BOOST_OUTCOME_TRY(take_turn(volume_));
            const bool answer = volume_.journal.confirmed() >= batch;
            end_turn(volume_);
            return answer;
        } else {
            return volume_.durable_batch >= batch;
        }
    }

    result<bool> flip_here(object_id owner, logical_block first, std::uint64_t generation, extent target) noexcept {
        BOOST_OUTCOME_TRY(auto slide, slide_of(owner));
        const auto stands = [&](const region_slide& now) noexcept {
            return generation_of(now) == generation && now.moved.value == first.value &&
                   now.to(now.moved) == target.first && (now.region.flags & region_flag::pinned) == 0;
        };
        if (!stands(slide)) return false;
        BOOST_OUTCOME_TRY(this->copy_and_hold(slide.from({}), slide.to({}), part_));
        bool flipped = false;
        BOOST_OUTCOME_TRY(run_transaction(volume_, [&](std::uint32_t tx) noexcept -> result<> {
            BOOST_OUTCOME_TRY(slide, slide_of(owner));
            flipped = stands(slide);
            if (!flipped) return success();
            return append_entries(volume_, tx, slide, target.count);
        }));
        if (!flipped) return false;
        enter(slide, target.count);
        static_cast<void>(flush(volume_));  // as with a whole region: where it fails writing has ended
        return true;
    }

    /// Memory follows the table, and remembers when the old place of the part may be written.
    void enter(const region_slide& slide, block_count blocks) noexcept {
        enter_entries(volume_, slide, blocks);
        auto& traffic   = volume_.region_traffic;
        traffic.left[1] = traffic.left[0];
        traffic.left[0] = {slide.moved + blocks, volume_.open_batch, volume_.space.reader_phase()};
    }

    extent part_;
};

}  // namespace ashlar::inline v0
