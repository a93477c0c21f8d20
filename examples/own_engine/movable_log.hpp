#pragma once
/// What the engine says to ashlar: the whole of what makes its values movable. This is the only place where the two
/// meet, and `ashlar/maintenance/defragmenter.hpp` the only header of ashlar that is included.

#include "value_log.hpp"

#include <ashlar/maintenance/defragmenter.hpp>

namespace own_engine {

/// A value is an owner, its id the owner's, its pieces the mapping. There is one scope: all data blocks.
///
/// Nothing of a move is ever on disk but its outcome. A target is free blocks taken in memory, so a process that is
/// killed while it copies leaves no trace; a flip is one more changed value, so the next record carries it or does not.
template <class Device>
class movable_log {
  public:
    explicit movable_log(value_log<Device>& log) noexcept : log_{&log} {}

    [[nodiscard]] ashlar::block_size block() const noexcept { return {block_bytes}; }
    [[nodiscard]] std::uint64_t      owner_count() noexcept {
             const std::lock_guard lock{log_->state_};
             return log_->values_.size();
    }

    // ---- which ranges could be moved -----------------------------------------------------------------------------

    /// Looks at one value a call, so that the lock is never held for long. A value without a candidate is answered by
    /// one of no blocks.
    [[nodiscard]] ashlar::result<std::optional<ashlar::defrag_candidate>> next_candidate(
        ashlar::relocation_cursor& cursor, ashlar::candidate_request wanted) noexcept {
        const std::lock_guard lock{log_->state_};
        const auto            at = log_->values_.lower_bound(cursor.owner.value);
        if (at == log_->values_.end()) return std::optional<ashlar::defrag_candidate>{};
        if (at->first != cursor.owner.value) cursor = {{at->first}, {}, cursor.seen};
        auto found = wanted.kind == ashlar::candidate_kind::fragmented_range ? scattered(at->second, cursor, wanted)
                                                                             : between_gaps(at->second, cursor, wanted);
        if (found)
            found->owner = {at->first};
        else
            cursor = {{at->first + 1}, {}, cursor.seen + 1};
        return std::optional{found.value_or(ashlar::defrag_candidate{})};
    }

    [[nodiscard]] ashlar::result<ashlar::mapping_view> mapping(ashlar::object_id owner, ashlar::logical_block first,
                                                               ashlar::block_count              blocks,
                                                               std::span<ashlar::mapped_extent> pieces) noexcept {
        const std::lock_guard lock{log_->state_};
        const auto            v = log_->values_.find(owner.value);
        if (v == log_->values_.end()) return ashlar::errc::not_found;
        ashlar::mapping_view view{.generation = v->second.generation};
        std::uint64_t        logical = 0;
        for (const auto& piece : v->second.pieces) {
            const auto from = std::max(logical, first.value);
            const auto to   = std::min(logical + piece.count, first.value + blocks.value);
            if (from < to && view.pieces == pieces.size()) {
                view.complete = false;
                break;
            }
            if (from < to) pieces[view.pieces++] = {{from}, {{piece.first + (from - logical)}, {to - from}}};
            logical += piece.count;
        }
        return view;
    }

    // ---- where to, and the copy ----------------------------------------------------------------------------------

    [[nodiscard]] ashlar::result<ashlar::extent> reserve_target(ashlar::target_request wanted) noexcept {
        const std::lock_guard lock{log_->state_};
        const run             beside{wanted.goal.value, wanted.blocks.value};
        const auto            found = wanted.where == ashlar::placement::tight
                                          ? log_->space_.take_tight(beside)
                                          : log_->space_.take_near(beside.first, beside.count);
        if (!found) return ashlar::errc::no_contiguous_space;
        return ashlar::extent{{found->first}, {found->count}};
    }
    void release_target(ashlar::extent target) noexcept {
        const std::lock_guard lock{log_->state_};
        log_->space_.release(run_of(target));
    }

    [[nodiscard]] ashlar::result<> hold(ashlar::extent source) noexcept {
        const std::lock_guard lock{log_->state_};
        log_->space_.hold(run_of(source));
        return ashlar::success();
    }
    void unhold(ashlar::extent source) noexcept {
        const std::lock_guard lock{log_->state_};
        log_->space_.unhold(run_of(source));
    }

    /// Without the lock: the source is held and the target is nobody else's. Each block proves itself, so rot is not
    /// copied on; that a proven block still is the right one, the generation says at the flip.
    [[nodiscard]] ashlar::result<> read_blocks(ashlar::extent source, std::span<std::byte> into) noexcept {
        if (!log_->device_->read(source.first.value, into)) return ashlar::errc::device_failed;
        if (!proven(into)) return ashlar::errc::checksum_differs;
        return ashlar::success();
    }
    [[nodiscard]] ashlar::result<> write_blocks(ashlar::extent target, std::span<const std::byte> from) noexcept {
        if (!log_->device_->write(target.first.value, from)) return ashlar::errc::device_failed;
        return ashlar::success();
    }

    // ---- the change ----------------------------------------------------------------------------------------------

    /// The range's pieces become the target. In memory at once, so readers go there; on disk with the next record,
    /// before which the old blocks are not used again.
    [[nodiscard]] ashlar::result<bool> flip(ashlar::object_id owner, ashlar::logical_block first,
                                            ashlar::block_count blocks, std::uint64_t generation,
                                            ashlar::extent target) noexcept {
        const std::lock_guard lock{log_->state_};
        if (log_->ended_) return ashlar::errc::read_only;
        const auto v = log_->values_.find(owner.value);
        if (v == log_->values_.end()) return ashlar::errc::not_found;
        if (v->second.generation != generation) return false;
        std::vector<run> old, after;
        std::uint64_t    logical = 0;
        for (const auto& piece : v->second.pieces) {
            const auto end  = logical + piece.count;
            const auto from = std::clamp(first.value, logical, end);
            const auto to   = std::clamp(first.value + blocks.value, logical, end);
            const run  gone{piece.first + (from - logical), to - from};
            add_piece(after, {piece.first, from - logical});
            if (gone.count > 0 && old.empty()) add_piece(after, run_of(target));
            if (gone.count > 0) old.push_back(gone);
            add_piece(after, {gone.end(), end - to});
            logical = end;
        }
        for (const auto& gone : old) log_->space_.retire(gone);
        v->second.pieces     = std::move(after);
        v->second.generation = ++log_->generation_;
        log_->changed_.insert(owner.value);
        return true;
    }

    [[nodiscard]] ashlar::result<> sync() noexcept {
        switch (log_->sync()) {
            case status::ok: return ashlar::success();
            case status::read_only: return ashlar::errc::read_only;
            case status::full: return ashlar::errc::no_space;
            default: return ashlar::errc::device_failed;
        }
    }

    [[nodiscard]] std::uint64_t                            scope_count() noexcept { return 1; }
    [[nodiscard]] ashlar::result<ashlar::relocation_scope> scope(std::uint64_t n) noexcept {
        if (n != 0) return ashlar::errc::out_of_range;
        const std::lock_guard    lock{log_->state_};
        const auto               all = log_->space_.all();
        ashlar::relocation_scope seen{.blocks = {{all.first}, {all.count}}};
        log_->space_.for_each_free([&seen](run free) {
            seen.free += {free.count};
            seen.largest_free = std::max(seen.largest_free, {free.count});
            ++seen.free_runs;
        });
        return seen;
    }

  private:
    static constexpr std::uint64_t transfer_blocks = 256 * 1024 / block_bytes;  // what one sequential read takes

    static run           run_of(ashlar::extent e) noexcept { return {e.first.value, e.count.value}; }
    static std::uint64_t transfers(std::uint64_t blocks) noexcept {
        return (blocks + transfer_blocks - 1) / transfer_blocks;
    }

    /// The next pieces from the cursor on that together fit the window, where they are two or more.
    static std::optional<ashlar::defrag_candidate> scattered(const value& v, ashlar::relocation_cursor& cursor,
                                                             ashlar::candidate_request wanted) noexcept {
        ashlar::defrag_candidate c{.owner_extents = v.pieces.size()};
        std::uint64_t            logical = 0;
        for (const auto& piece : v.pieces) {
            const bool fits = c.blocks.value + piece.count <= wanted.window.value;
            if (c.extents > 1 && !fits) break;
            if (c.extents == 1 && !fits) c = {.owner_extents = v.pieces.size()};  // too long to join the next
            if (logical >= cursor.logical.value) {
                if (c.extents++ == 0) c.first = {logical};
                c.blocks += {piece.count};
                c.reads_before += transfers(piece.count);
            }
            logical += piece.count;
        }
        if (c.extents < 2) return std::nullopt;
        c.reads_after  = transfers(c.blocks.value);
        c.bytes        = c.blocks.value * block_bytes;
        cursor.logical = c.first + c.blocks;
        return c;
    }

    /// The next whole piece with free blocks on both sides.
    std::optional<ashlar::defrag_candidate> between_gaps(const value& v, ashlar::relocation_cursor& cursor,
                                                         ashlar::candidate_request wanted) const noexcept {
        const auto&   space   = log_->space_;
        std::uint64_t logical = 0;
        for (const auto& piece : v.pieces) {
            const auto first = std::exchange(logical, logical + piece.count);
            if (first < cursor.logical.value || piece.count > wanted.window.value) continue;
            if (!space.is_free(piece.first - 1) || !space.is_free(piece.end())) continue;
            cursor.logical = {logical};
            return ashlar::defrag_candidate{.first            = {first},
                                            .blocks           = {piece.count},
                                            .extents          = 1,
                                            .owner_extents    = v.pieces.size(),
                                            .free_runs_merged = 1,
                                            .reads_before     = transfers(piece.count),
                                            .reads_after      = transfers(piece.count),
                                            .bytes            = piece.count * block_bytes};
        }
        return std::nullopt;
    }

    value_log<Device>* log_;
};
static_assert(ashlar::RelocationHost<movable_log<block_file>>);

}  // namespace own_engine
