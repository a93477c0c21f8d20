#pragma once
/// The objects of a volume as something whose extents can be moved.

#include <ashlar/object/volume_host.hpp>

namespace ashlar::inline v0 {

/// The store's model of RelocationHost: made per call, holds nothing but the way to the volume. Every call takes the
/// engine's lock, and gives it up while the device works.
/// Ranges have no holes and no pinned piece inside; a pinned extent is a range of its own, so that it is seen and left
/// alone.
template <class Volume>
class relocation_source : public volume_host<Volume> {
    using base = volume_host<Volume>;
    using base::volume_;

  public:
    using typename base::queue_type;

    /// With a queue, chunks of a move overlap. It is empty, and nobody else's meanwhile.
    explicit relocation_source(Volume& volume, queue_type* queue = nullptr) noexcept : base{volume, queue} {}

    [[nodiscard]] std::uint64_t owner_count() noexcept {
        const entered guard{volume_};
        return volume_.space.totals().objects;
    }

    /// Looks at so many owners a call before it answers "nothing yet".
    static constexpr int owners_per_call = 64;

    result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                           candidate_request  wanted) noexcept {
        const entered guard{volume_};
        const auto    from = cursor;
        return with_loads(volume_, [&]() noexcept {
            cursor = from;
            return candidate_from(cursor, wanted);
        });
    }

    result<mapping_view> mapping(object_id owner, logical_block first, block_count blocks,
                                 std::span<mapped_extent> pieces) noexcept {
        const entered guard{volume_};
        return with_loads(volume_, [&]() noexcept { return mapping_of(owner, first, blocks, pieces); });
    }

    /// Near the goal means right there: behind what the range continues. Elsewhere no place is better for reading than
    /// another, so the smallest hole from the volume's beginning on is taken, and free space stays together.
    result<extent> reserve_target(target_request target) noexcept {
        const entered guard{volume_};
        return with_loads(volume_, [&]() noexcept { return reserve_run(target); });
    }
    void release_target(extent blocks) noexcept {
        const entered guard{volume_};
        volume_.space.release(blocks, volume_.geometry.block);
    }

    /// Precondition: the blocks are held.
    result<> read_blocks(extent blocks, std::span<std::byte> bytes) noexcept {
        const entered guard{volume_};
        return read_held_blocks(volume_, blocks, bytes);
    }

    /// Whether the device has these bytes, and memory not.
    [[nodiscard]] bool on_device(extent blocks) noexcept {
        const entered guard{volume_};
        return !volume_.staged.overlaps(blocks) &&
               blocks_on_device(volume_, blocks.first, blocks.count) == blocks.count;
    }
    result<> prove(extent blocks, std::span<const std::byte> bytes) noexcept {
        const entered guard{volume_};
        return prove_held_blocks(volume_, blocks, bytes);
    }

    /// A target has no checksum before its flip, and nobody else knows of it: the device is asked without the lock.
    result<> read_target(extent blocks, std::span<std::byte> bytes) noexcept {
        return volume_.device.read(blocks, bytes);
    }
    /// The checksums go with the data: what was read was proved by them.
    result<bool> flip(object_id owner, logical_block first, block_count blocks, std::uint64_t generation,
                      extent target) noexcept {
        const entered guard{volume_};
        bool          flipped = false;
        BOOST_OUTCOME_TRY(run_transaction(volume_, [&](std::uint32_t tx) noexcept -> result<> {
            flipped     = false;
            auto locked = lock_object(volume_, tx, owner);
            if (locked.has_error() && locked.error().code == errc::busy)
                return success();  // its owner is changing it: a race
            BOOST_OUTCOME_TRY(locked);
            auto object = load_object(volume_, tx, owner);
            if (object.has_error() && object.error().code == errc::not_found) return success();
            BOOST_OUTCOME_TRY(object);
            if (object.value().generation != generation) return success();
            BOOST_OUTCOME_TRY(flip_in(tx, object.value(), first, blocks, target));
            flipped = true;
            return success();
        }));
        if (flipped) {
            volume_.metrics.ranges_moved.add(1);
            volume_.metrics.blocks_moved.add(target.count.value);
        } else {
            volume_.metrics.moves_raced.add(1);
        }
        return flipped;
    }

  private:
    result<std::optional<defrag_candidate>> candidate_from(relocation_cursor&       cursor,
                                                           const candidate_request& wanted) noexcept {
        for (int looked = 0; looked < owners_per_call; ++looked) {
            BOOST_OUTCOME_TRY(auto object, object_at(cursor));
            if (!object) return std::optional<defrag_candidate>{};
            BOOST_OUTCOME_TRY(const auto found, wanted.kind == candidate_kind::fragmented_range
                                                    ? next_range(*object, cursor, wanted)
                                                    : next_gap(*object, cursor, wanted));
            if (found) return found;
            cursor = {.owner = {object->id.value + 1}, .logical = {}, .seen = cursor.seen + 1};
        }
        return std::optional{defrag_candidate{}};
    }

    result<mapping_view> mapping_of(object_id owner, logical_block first, block_count blocks,
                                    std::span<mapped_extent> pieces) noexcept {
        BOOST_OUTCOME_TRY(auto object, load_object(volume_, no_transaction, owner));
        mapping_view view{.generation = object.generation};
        const auto   end = first + blocks;
        auto         map = map_of(volume_, no_transaction, object, space_use::relocation);
        BOOST_OUTCOME_TRY(map.walk(first, end, [&](const mapped_extent& whole) noexcept -> result<bool> {
            if (view.pieces == pieces.size()) {
                view.complete = false;
                return false;
            }
            pieces[view.pieces++] = cut(whole, first, end);
            return true;
        }));
        return view;
    }

    result<extent> reserve_run(const target_request& target) noexcept {
        BOOST_OUTCOME_TRY(const bool there, target.where == placement::tight ? result<bool>{false}
                                                                             : is_free_at(target.goal, target.blocks));
        return volume_.space.reserve(volume_.metadata(), volume_.allocator,
                                     {.blocks = target.blocks,
                                      .least  = target.blocks,
                                      .goal   = there ? target.goal : block_index{},
                                      .use    = space_use::relocation});
    }

    [[nodiscard]] static mapped_extent cut(mapped_extent whole, logical_block first, logical_block end) noexcept {
        const auto skip = whole.logical < first ? first - whole.logical : block_count{0};
        const auto from = whole.logical + skip;
        whole.physical  = part_of(whole.physical, skip, end - from);
        whole.logical   = from;
        return whole;
    }

    /// The object that the cursor stands at, or the next. Objects that shrink are left to the reaper.
    result<std::optional<object_state>> object_at(relocation_cursor& cursor) noexcept {
        for (;;) {
            const object_id before{cursor.owner.value == 0 ? 0 : cursor.owner.value - 1};
            BOOST_OUTCOME_TRY(const auto id, owner_from(before, cursor.owner));
            if (!id) return std::optional<object_state>{};
            if (*id != cursor.owner) cursor.logical = {};
            cursor.owner = *id;
            BOOST_OUTCOME_TRY(auto object, load_object(volume_, no_transaction, *id));
            if (!object.shrinking) return std::optional{object};
            cursor.owner = {id->value + 1};
        }
    }

    /// The first object whose id is `wanted` or follows it.
    result<std::optional<object_id>> owner_from(object_id before, object_id wanted) noexcept {
        if (names_record(wanted)) {
            const auto here = load_object(volume_, no_transaction, wanted);
            if (here.has_value()) return std::optional{wanted};
            if (here.error().code != errc::not_found) return here.error();
            // A record that is used again may hold a later id of the same number.
            const auto record = load_record(volume_, no_transaction, record_of(wanted));
            if (record.has_value() && record.value().in_use && !record.value().dying && record.value().id > wanted)
                return std::optional{record.value().id};
        }
        return next_object(volume_, before);
    }

    /// Whole extents that follow each other without a hole, from the cursor on, as many as the window holds.
    result<std::optional<defrag_candidate>> next_range(object_state& object, relocation_cursor& cursor,
                                                       const candidate_request& wanted) noexcept {
        range_builder range{volume_.geometry.block, object, wanted};
        auto          map = map_of(volume_, no_transaction, object, space_use::relocation);
        BOOST_OUTCOME_TRY(
            map.walk(cursor.logical, {no_bound},
                     [&](const mapped_extent& piece) noexcept -> result<bool> { return range.add(piece); }));
        if (!range.any()) return std::optional<defrag_candidate>{};
        cursor.logical = range.end();
        if (!range.in_scope()) return std::optional{defrag_candidate{}};
        return std::optional{range.candidate()};
    }

    /// The next whole extent with free blocks on both sides.
    result<std::optional<defrag_candidate>> next_gap(object_state& object, relocation_cursor& cursor,
                                                     const candidate_request& wanted) noexcept {
        for (int looked = 0; looked < owners_per_call; ++looked) {
            auto map = map_of(volume_, no_transaction, object, space_use::relocation);
            BOOST_OUTCOME_TRY(const auto piece, map.find(cursor.logical));
            if (!piece) return std::optional<defrag_candidate>{};
            cursor.logical = piece->logical + piece->physical.count;
            if (piece->pinned || piece->physical.count > wanted.window) continue;
            if (!wanted.scope.empty() && !overlap(piece->physical, wanted.scope)) continue;
            BOOST_OUTCOME_TRY(const bool between, is_between_free(piece->physical));
            if (!between) continue;
            range_builder range{volume_.geometry.block, object, wanted};
            static_cast<void>(range.add(*piece));
            auto found             = range.candidate();
            found.free_runs_merged = 1;
            return std::optional{found};
        }
        return std::optional{defrag_candidate{}};
    }

    /// Whether so many blocks from the goal on can be allocated.
    result<bool> is_free_at(block_index goal, block_count blocks) noexcept {
        const auto place = place_of(goal, volume_.geometry.block);
        if (goal.value == 0 || place.group >= volume_.geometry.groups) return false;
        BOOST_OUTCOME_TRY(const auto window, volume_.space.window(volume_.metadata(), place.group));
        if (blocks.value > window.blocks - place.offset) return false;
        return all_clear(window.busy, {place.offset, static_cast<std::uint32_t>(blocks.value)});
    }

    /// Whether the blocks before and behind the extent can be allocated. Runs end where groups end.
    result<bool> is_between_free(extent blocks) noexcept {
        const block_size size  = volume_.geometry.block;
        const auto       first = place_of(blocks.first, size);
        const auto       last  = place_of(blocks.end() - block_count{1}, size);
        if (first.group != last.group || first.offset == 0 ||
            last.offset + 1 >= volume_.geometry.group_blocks(last.group))
            return false;
        BOOST_OUTCOME_TRY(const auto window, volume_.space.window(volume_.metadata(), first.group));
        return !is_set(window.busy, first.offset - 1) && !is_set(window.busy, last.offset + 1);
    }

    result<> flip_in(std::uint32_t tx, object_state& object, logical_block first, block_count blocks,
                     extent target) noexcept {
        auto&      pieces = volume_.transactions[tx].pieces;
        const auto end    = first + blocks;
        auto       map    = map_of(volume_, tx, object, space_use::relocation);
        pieces.clear();
        block_count used{};
        for (auto at = first; at < end;) {
            BOOST_OUTCOME_TRY(const auto found, map.find(at));
            if (!found || found->logical >= end) break;
            const auto piece = cut(*found, first, end);
            if (piece.pinned) return error{errc::pinned, piece.physical.first};
            if (pieces.full() || piece.physical.count > target.count - used)
                return error{errc::too_large, target.first};
            const extent part = part_of(target, used, piece.physical.count);
            BOOST_OUTCOME_TRY(take_part(tx, piece, part));
            pieces.push({.logical = piece.logical, .physical = part, .unwritten = piece.unwritten});
            used += part.count;
            at = piece.logical + piece.physical.count;
        }
        if (used != target.count) return error{errc::raced, target.first};
        const auto                extents = object.map.extents;
        const retire_sink<Volume> sink{volume_, tx};
        BOOST_OUTCOME_TRY(map.replace(first, blocks, pieces.all(), sink));
        note_mapping(volume_, tx, object, extents);
        return store_object(volume_, tx, object);
    }

    /// The target's part comes into use, with the checksums of what was copied there.
    result<> take_part(std::uint32_t tx, const mapped_extent& piece, extent part) noexcept {
        auto&       state   = volume_.transactions[tx];
        const bool  data    = !piece.unwritten;
        const bool  has_sum = data && Volume::checksum_type::enabled;
        const auto  count   = static_cast<std::size_t>(part.count.value);
        auto* const last    = state.taken.empty() ? nullptr : &state.taken[state.taken.size() - 1];
        if (has_sum && state.sums.room() < count) return error{errc::too_large, part.first};
        if (last != nullptr && last->data == data && last->blocks.end() == part.first) {
            last->blocks.count += part.count;
        } else {
            if (state.taken.full()) return error{errc::too_large, part.first};
            state.taken.push({.blocks   = part,
                              .sums     = static_cast<std::uint32_t>(state.sums.size()),
                              .data     = data,
                              .borrowed = true});
        }
        if (!has_sum) return success();
        return copy_checksums(volume_, piece.physical.first, state.sums.extend(count));
    }

    /// Gathers one range.
    class range_builder {
      public:
        range_builder(block_size size, const object_state& object, const candidate_request& wanted) noexcept
            : read_blocks_{(256U * 1024U) >> size.shift()}, size_{size}, wanted_{wanted} {
            found_.owner         = object.id;
            found_.owner_extents = object.map.extents;
            found_.extents       = 0;
        }

        /// Answers whether more could follow.
        bool add(const mapped_extent& piece) noexcept {
            const bool first = found_.extents == 0;
            if (!first && (piece.pinned || found_.has_pinned || piece.logical != end_ ||
                           found_.blocks + piece.physical.count > wanted_.window))
                return false;
            if (first) found_.first = piece.logical;
            const bool continues = !first && last_.physical.end() == piece.physical.first;
            run_                 = continues ? run_ + piece.physical.count.value : piece.physical.count.value;
            if (!continues)
                reads_ += reads_of(piece.physical.count.value);
            else
                reads_ += reads_of(run_) - reads_of(run_ - piece.physical.count.value);
            if (first || last_.unwritten != piece.unwritten) ++ideal_;
            ++found_.extents;
            found_.blocks += piece.physical.count;
            found_.has_pinned = piece.pinned;
            in_scope_         = in_scope_ || wanted_.scope.empty() || overlap(piece.physical, wanted_.scope);
            end_              = piece.logical + piece.physical.count;
            last_             = piece;
            return true;
        }

        [[nodiscard]] bool             any() const noexcept { return found_.extents != 0; }
        [[nodiscard]] bool             in_scope() const noexcept { return in_scope_; }
        [[nodiscard]] logical_block    end() const noexcept { return end_; }
        [[nodiscard]] defrag_candidate candidate() const noexcept {
            auto answer          = found_;
            answer.extents_ideal = ideal_;
            answer.reads_before  = reads_;
            answer.reads_after   = reads_of(found_.blocks.value);
            answer.bytes         = bytes_of(found_.blocks, size_);
            return answer;
        }

      private:
        [[nodiscard]] std::uint64_t reads_of(std::uint64_t blocks) const noexcept {
            return (blocks + read_blocks_ - 1) >> static_cast<unsigned>(std::countr_zero(read_blocks_));
        }

        std::uint64_t     read_blocks_;
        block_size        size_;
        candidate_request wanted_;
        defrag_candidate  found_{};
        mapped_extent     last_{};
        logical_block     end_{};
        std::uint64_t     reads_    = 0;
        std::uint64_t     run_      = 0;
        std::uint64_t     ideal_    = 0;
        bool              in_scope_ = false;
    };
};

}  // namespace ashlar::inline v0
