#pragma once
/// Users' regions as something that can be moved.

#include <ashlar/object/volume_host.hpp>
#include <ashlar/region/region_transfer.hpp>
#include <ashlar/relocation/chunk_copy.hpp>

#include <algorithm>
#include <optional>

namespace ashlar::inline v0 {

/// What a move of regions needs besides the relocation's own memory.
struct region_move_memory {
    std::span<std::byte>   window{};          ///< One block or more, for what is copied again.
    std::span<bitmap_word> written{};         ///< A bit for each window of the region; windows have 64 blocks or more.
    region_motion*         motion = nullptr;  ///< Where the volume finds the move while it is under way.
    bool                   verify = false;    ///< What is copied again is read back and compared; takes two blocks.
};

/// A model of RelocationHost whose owners are the users' regions, each a single extent. Users go on writing to the
/// region meanwhile (R5): each write notes its window, `flip` copies noted windows again, three times at most, keeps
/// writers away for the rest and for one batch, syncs the copy and only then changes the directory.
/// One move at a time. Made per call: what lasts as long as a move is in the memory. Every call takes the engine's
/// lock, and gives it up while the device works.
template <class Volume>
class region_source : public volume_host<Volume> {
    using base = volume_host<Volume>;

  protected:
    using base::volume_;

  public:
    using typename base::queue_type;

    /// Targets lie within `into`. With a queue, chunks of a move overlap; it is empty, and nobody else's meanwhile.
    region_source(Volume& volume, const region_move_memory& memory, extent into, queue_type* queue = nullptr) noexcept
        : base{volume, queue}, memory_{memory}, into_{into} {}
    void aim_into(extent blocks) noexcept { into_ = blocks; }
    /// Blocks that its flips copied again. Nobody asks a throttle for them: writers wait until they are copied.
    [[nodiscard]] block_count copied_again() const noexcept { return again_; }

    /// Regions as the relocation core calls its owners.
    [[nodiscard]] static object_id owner_of(region_id name) noexcept {
        return {std::uint64_t{name.type} << 32U | name.number};
    }
    [[nodiscard]] static region_id region_of(object_id owner) noexcept {
        return {static_cast<std::uint32_t>(owner.value >> 32U), static_cast<std::uint32_t>(owner.value)};
    }

    [[nodiscard]] std::uint64_t owner_count() noexcept {
        const entered guard{volume_};
        std::uint64_t count = 0;
        for (std::uint32_t i = 0; i < volume_.regions.slots(); ++i) count += is_user_region(slot_at(volume_, i).type);
        return count;
    }

    /// Regions in the order of their places; `logical` of the cursor is the place of the last one.
    result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                           candidate_request  wanted) noexcept {
        const entered guard{volume_};
        region_slot   next;
        for (std::uint32_t i = 0; i < volume_.regions.slots(); ++i) {
            const auto slot = slot_at(volume_, i);
            if (!is_user_region(slot.type) || slot.start < cursor.logical.value) continue;
            if (!wanted.scope.empty() && !overlap(slot.place(), wanted.scope)) continue;
            if (next.type == 0 || slot.start < next.start) next = slot;
        }
        if (next.type == 0) return std::optional<defrag_candidate>{};
        cursor = {.owner = owner_of(name_of(next)), .logical = {next.start + 1}, .seen = cursor.seen + 1};
        defrag_candidate found;
        found.owner      = cursor.owner;
        found.blocks     = next.place().count;
        found.has_pinned = (next.flags & region_flag::pinned) != 0;
        return std::optional{found};
    }

    result<mapping_view> mapping(object_id owner, logical_block first, block_count blocks,
                                 std::span<mapped_extent> pieces) noexcept {
        const entered guard{volume_};
        BOOST_OUTCOME_TRY(const auto slot, find_region(volume_, region_of(owner)));
        if (is_sliding(volume_, region_of(owner))) return error{errc::busy, slot.place().first};
        const extent asked{block_index{first.value}, blocks};
        const extent all{block_index{0}, slot.place().count};
        if (!overlap(asked, all)) return mapping_view{.generation = slot.generation};
        const block_count count = std::min(block_count{all.count.value - first.value}, blocks);
        pieces[0]               = {.logical  = first,
                                   .physical = {slot.place().first + block_count{first.value}, count},
                                   .pinned   = (slot.flags & region_flag::pinned) != 0};
        return mapping_view{.generation = slot.generation, .pieces = 1};
    }

    /// From here on writes to the region are noted, and it does not go.
    /// Errors: read_only; busy where another region moves; not_found where no region of that length is there any more;
    /// too_large where the journal could not hold the flip; those of reserve_long_run.
    result<extent> reserve_target(target_request target) noexcept {
        const entered guard{volume_};
        BOOST_OUTCOME_TRY(volume_.writable());
        BOOST_OUTCOME_TRY(motion_scope<Volume>::begin(volume_, *memory_.motion));
        const auto name = region_at({target.goal, target.blocks});
        if (name) *memory_.motion = region_motion{*name, target.blocks, memory_.written};
        auto run = name ? reserve_long_run(volume_, target.blocks, space_use::relocation, into_.first, into_.end())
                        : result<extent>{errc::not_found};
        if (run.has_value() && !journal_holds_move(volume_, {target.goal, target.blocks}, run.value())) {
            volume_.space.release(run.value(), volume_.geometry.block);
            run = errc::too_large;
        }
        if (run.has_error()) motion_scope<Volume>::end(volume_);
        return run;
    }
    void release_target(extent blocks) noexcept {
        const entered guard{volume_};
        volume_.space.release(blocks, volume_.geometry.block);
        motion_scope<Volume>::end(volume_);
    }

    [[nodiscard]] bool on_device(extent) noexcept { return true; }
    result<>           prove(extent, std::span<const std::byte>) noexcept { return success(); }

    /// A region's bytes are its user's; nothing here could prove them.
    result<> read_blocks(extent blocks, std::span<std::byte> bytes) noexcept {
        return volume_.device.read(blocks, bytes);
    }

    /// Writers go on once it returned. What they make durable then makes the flip durable first (sync_regions).
    result<bool> flip(object_id owner, logical_block, block_count, std::uint64_t generation, extent target) noexcept {
        const entered guard{volume_};
        const auto    flipped = ended(flip_here(region_of(owner), generation, target), target.count);
        if (flipped.has_value() && flipped.value()) volume_.metrics.ranges_moved.add(1);
        return flipped;
    }

  protected:
    /// What a flip answers. Where it is made the motion is over; else writers go on until the move is undone, or tried
    /// again.
    result<bool> ended(result<bool> flipped, block_count blocks) noexcept {
        if (flipped.has_value() && flipped.value()) {
            motion_scope<Volume>::end(volume_);
            volume_.metrics.blocks_moved.add(blocks.value);
            return flipped;
        }
        memory_.motion->held = false;
        if (flipped.has_value()) volume_.metrics.moves_raced.add(1);
        volume_.lock.wake();
        return flipped;
    }

    /// Copies what was written to the region's `part` since it was copied, the last of it while writers wait, and makes
    /// the copy durable: before the batch that says so and not with it, as one that was cut off after its journal would
    /// point at an unwritten copy. Errors: those of copy_written; busy; read_only; the device's, and writing has ended.
    result<> copy_and_hold(block_index from, block_index to, extent part) noexcept {
        for (int pass = 0; pass < passes_max; ++pass) { BOOST_OUTCOME_TRY(copy_written(from, to, part)); }
        BOOST_OUTCOME_TRY(hold_region_writes(volume_));
        BOOST_OUTCOME_TRY(copy_written(from, to, part));
        BOOST_OUTCOME_TRY(volume_.writable());
        auto synced = volume_.lock.outside([&]() noexcept { return volume_.device.sync(); });
        if (synced.has_error()) return volume_.end_writing(synced.error());
        return synced;
    }

    region_move_memory memory_;

  private:
    static constexpr int passes_max = 3;  ///< Over what was written meanwhile, before writers have to wait.

    /// One pass over every window of the region's `part` that was written and not copied since, from where it lies to
    /// where it goes; `from` and `to` are the places of the whole region. Errors: those of copy_part.
    result<> copy_written(block_index from, block_index to, extent part) noexcept {
        const auto  bytes = memory_.verify ? memory_.window.size() / 2 : memory_.window.size();
        const auto  room  = whole_blocks(bytes, volume_.geometry.block);
        block_count at    = memory_.motion->window_of(block_count{part.first.value});
        for (;;) {
            const auto window = memory_.motion->take_written(at);
            if (window.empty() || window.first >= part.end()) return success();
            at = {window.end().value};
            for (auto left = common_part(window, part); !left.empty();) {
                const auto        now = part_of(left, {}, room);
                const block_count skip{now.first.value};
                BOOST_OUTCOME_TRY(volume_.lock.outside([&]() noexcept {
                    return copy_part({from + skip, now.count}, {to + skip, now.count});
                }));
                left = part_of(left, now.count, left.count);
            }
        }
    }

    /// The region that lies there: a move of a whole extent names its source by its place. What was removed since may
    /// have left its name to another one.
    std::optional<region_id> region_at(extent place) noexcept {
        for (std::uint32_t i = 0; i < volume_.regions.slots(); ++i) {
            const auto slot = slot_at(volume_, i);
            if (is_user_region(slot.type) && slot.place() == place) return name_of(slot);
        }
        return std::nullopt;
    }

    /// Errors: the device's; checksum_differs where what came back from the target is not what was written.
    result<> copy_part(extent from, extent to) noexcept {
        again_ += from.count;
        const auto length = static_cast<std::size_t>(bytes_of(from.count, volume_.geometry.block));
        const auto bytes  = memory_.window.first(length);
        BOOST_OUTCOME_TRY(volume_.device.read(from, bytes));
        return put(*this, to, bytes, memory_.verify ? memory_.window.subspan(length, length) : std::span<std::byte>{});
    }

    result<bool> flip_here(region_id name, std::uint64_t generation, extent target) noexcept {
        BOOST_OUTCOME_TRY(const auto slot, find_region(volume_, name));
        if (slot.generation != generation || (slot.flags & region_flag::pinned) != 0) return false;
        BOOST_OUTCOME_TRY(copy_and_hold(slot.place().first, target.first, {block_index{0}, target.count}));
        bool flipped = false;
        BOOST_OUTCOME_TRY(run_transaction(volume_, [&](std::uint32_t tx) noexcept -> result<> {
            BOOST_OUTCOME_TRY(const auto now, find_region(volume_, name));
            flipped = now.generation == slot.generation && (now.flags & region_flag::pinned) == 0;
            if (!flipped) return success();
            auto after       = now;
            after.start      = target.first.value;
            after.generation = slot.generation + 1;
            BOOST_OUTCOME_TRY(change_region(volume_, tx, {.before = now, .after = after}));
            auto& state = volume_.transactions[tx];
            state.taken.push({.blocks = target, .borrowed = true});
            state.given.push({.blocks = now.place()});
            return success();
        }));
        // Writers wait until the flip is acknowledged. Where that fails writing has ended, and the flip stays as it is.
        if (flipped) static_cast<void>(flush(volume_));
        return flipped;
    }

    extent      into_;
    block_count again_{};
};

}  // namespace ashlar::inline v0
