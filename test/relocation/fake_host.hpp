#pragma once
/// An engine in memory whose extents can be moved, and that can misbehave in every way that a move must survive.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ashlar_test {

using namespace ashlar;

/// A clock that a test sets.
struct hand_clock {
    static constexpr bool    ticks = true;
    time_point               time{};
    [[nodiscard]] time_point now() const noexcept { return time; }
};
static_assert(Clock<hand_clock>);

struct fake_owner {
    std::uint64_t              generation = 0;
    std::vector<mapped_extent> map;
};

/// Pieces of all owners, and free runs: it must fall with every move, in the order of words in a dictionary.
using potential = std::pair<std::uint64_t, std::uint64_t>;

class fake_host {
  public:
    static constexpr std::uint32_t block_bytes = 512;
    enum class use : std::uint8_t { free, used, reserved, retired };

    explicit fake_host(std::uint64_t blocks, std::uint64_t group_blocks = 0)
        : uses(blocks, use::free),
          holds(blocks, 0),
          bytes(blocks * block_bytes),
          group{group_blocks == 0 ? blocks : group_blocks} {}

    // ---- building ------------------------------------------------------------------------------------------------

    void fill(block_index at, object_id owner, logical_block logical) {
        random_bits random{owner.value * 1'000'003 + logical.value};
        random.fill({bytes.data() + at.value * block_bytes, block_bytes});
    }
    void add(std::uint64_t owner, std::uint64_t logical, std::uint64_t physical, std::uint64_t count,
             bool pinned = false, bool unwritten = false) {
        auto& map = owners[owner].map;
        map.push_back({{logical}, {{physical}, {count}}, pinned, unwritten});
        owners[owner].generation = ++generation;
        std::sort(map.begin(), map.end(), [](auto& a, auto& b) { return a.logical < b.logical; });
        for (std::uint64_t i = 0; i < count; ++i) {
            uses.at(physical + i) = use::used;
            if (!unwritten) fill({physical + i}, {owner}, {logical + i});
        }
    }
    /// Objects of `pieces` random pieces each, until `percent` of the first `span` blocks are used; 0: of all.
    void scatter(std::uint64_t seed, unsigned percent, unsigned pieces_max, unsigned piece_blocks_max,
                 std::uint64_t span = 0) {
        random_bits random{seed};
        if (span == 0) span = uses.size();
        std::uint64_t used = 0;
        for (std::uint64_t owner = 1; used * 100 < span * percent; ++owner) {
            std::uint64_t logical = 0;
            for (auto pieces = 1 + random.below(pieces_max); pieces > 0; --pieces) {
                const auto count = 1 + random.below(piece_blocks_max);
                auto       at    = random.below(span - count);
                for (unsigned tries = 0; tries < 1000 && !all(at, count, use::free); ++tries)
                    at = random.below(span - count);
                if (!all(at, count, use::free)) return;
                add(owner, logical, at, count);
                logical += count;
                used += count;
            }
        }
    }
    void erase(std::uint64_t owner) {
        for (const auto& piece : owners[owner].map) set(piece.physical, use::free);
        owners.erase(owner);
    }

    // ---- what tests ask ------------------------------------------------------------------------------------------

    [[nodiscard]] std::uint64_t       pieces(std::uint64_t owner) const { return merged(owners.at(owner).map).size(); }
    [[nodiscard]] std::vector<extent> free_runs() const {
        std::vector<extent> runs;
        for (std::uint64_t i = 0; i < uses.size(); ++i) {
            if (uses[i] != use::free) continue;
            if (!runs.empty() && runs.back().end().value == i)
                ++runs.back().count.value;
            else
                runs.push_back({{i}, {1}});
        }
        return runs;
    }
    [[nodiscard]] potential energy() const {
        std::uint64_t all = 0;
        for (const auto& [id, owner] : owners) all += merged(owner.map).size();
        return {all, free_runs().size()};
    }
    /// Each owner's content is what was written to it, each used block has one owner, and nothing is left over from
    /// moves.
    [[nodiscard]] std::string broken() const {
        std::vector<int>       seen(uses.size(), 0);
        std::vector<std::byte> expected(block_bytes);
        for (const auto& [id, owner] : owners) {
            for (const auto& piece : owner.map) {
                for (std::uint64_t i = 0; i < piece.physical.count.value; ++i) {
                    const auto at = piece.physical.first.value + i;
                    if (seen[at]++ != 0) return "a block has two owners";
                    if (uses[at] != use::used) return "an owned block is not in use";
                    if (piece.unwritten) continue;
                    const auto  salt = overwritten.contains({id, piece.logical.value + i}) ? 7777U : 0U;
                    random_bits random{id * 1'000'003 + piece.logical.value + i + salt};
                    random.fill(expected);
                    if (std::memcmp(expected.data(), bytes.data() + at * block_bytes, block_bytes) != 0)
                        return "content changed";
                }
            }
        }
        for (std::uint64_t i = 0; i < uses.size(); ++i) {
            if (uses[i] == use::used && seen[i] == 0) return "a block in use has no owner";
            if (uses[i] == use::reserved) return "a target is still reserved";
            if (uses[i] == use::retired) return "a flip was not synced";
            if (holds[i] != 0) return "a hold was left";
        }
        return "";
    }

    // ---- RelocationHost ------------------------------------------------------------------------------------------

    [[nodiscard]] block_size    block() const noexcept { return {block_bytes}; }
    [[nodiscard]] std::uint64_t owner_count() noexcept { return owners.size(); }
    [[nodiscard]] std::uint64_t scope_count() noexcept { return (uses.size() + group - 1) / group; }

    [[nodiscard]] result<relocation_scope> scope(std::uint64_t n) noexcept {
        if (n * group >= uses.size()) return errc::out_of_range;
        relocation_scope answer{.blocks = {{n * group}, {std::min(group, uses.size() - n * group)}}};
        std::uint64_t    run = 0;
        for (auto i = answer.blocks.first.value; i < answer.blocks.end().value; ++i) {
            run = uses[i] == use::free ? run + 1 : 0;
            answer.free.value += run > 0 ? 1 : 0;
            answer.free_runs += run == 1 ? 1 : 0;
            answer.largest_free.value = std::max(answer.largest_free.value, run);
        }
        return answer;
    }

    [[nodiscard]] result<std::optional<defrag_candidate>> next_candidate(relocation_cursor& cursor,
                                                                         candidate_request  wanted) noexcept {
        if (walk_error.code != errc::none) return walk_error;
        if (++calls % 5 == 0) return std::optional<defrag_candidate>{defrag_candidate{}};  // nothing yet
        for (auto it = owners.lower_bound(cursor.owner.value); it != owners.end(); it = std::next(it)) {
            if (it->first != cursor.owner.value) cursor = {{it->first}, {}, cursor.seen};
            const auto map = merged(it->second.map);
            while (auto found = candidate_of(it->first, map, cursor, wanted)) {
                if (wanted.scope.empty() || touches(map, *found, wanted.scope)) return found;
            }
            cursor = {{it->first + 1}, {}, cursor.seen + 1};
        }
        return std::optional<defrag_candidate>{};
    }

    [[nodiscard]] result<mapping_view> mapping(object_id id, logical_block first, block_count count,
                                               std::span<mapped_extent> out) noexcept {
        if (!owners.contains(id.value)) return errc::not_found;
        mapping_view view{.generation = owners[id.value].generation};
        const auto   end = first + count;
        for (auto piece : merged(owners[id.value].map)) {
            if (piece.logical + piece.physical.count <= first || piece.logical >= end) continue;
            if (piece.logical < first) {
                const auto cut = first - piece.logical;
                piece.physical = {piece.physical.first + cut, piece.physical.count - cut};
                piece.logical  = first;
            }
            piece.physical.count = std::min(piece.physical.count, end - piece.logical);
            if (view.pieces == out.size()) {
                view.complete = false;
                break;
            }
            out[view.pieces++] = piece;
        }
        return view;
    }

    [[nodiscard]] result<extent> reserve_target(target_request wanted) noexcept {
        const extent* best = nullptr;
        const auto    runs = free_runs();
        const extent  goal{wanted.goal, wanted.blocks};
        for (const auto& run : runs) {
            if (run.count < wanted.blocks) continue;
            if (wanted.where == placement::tight) {
                if (run.end() == goal.first || run.first == goal.end()) continue;
                if (best == nullptr || run.count < best->count) best = &run;
            } else if (best == nullptr || (best->first < wanted.goal && run.first >= wanted.goal)) {
                best = &run;
            }
        }
        if (best == nullptr) return errc::no_contiguous_space;
        const extent target{best->first, wanted.blocks};
        set(target, use::reserved);
        return target;
    }
    void release_target(extent e) noexcept { set(e, use::free); }

    [[nodiscard]] result<> hold(extent e) noexcept {
        for (auto i = e.first; i < e.end(); i = i + block_count{1}) ++holds[i.value];
        return success();
    }
    void unhold(extent e) noexcept {
        for (auto i = e.first; i < e.end(); i = i + block_count{1}) --holds[i.value];
    }
    [[nodiscard]] result<> read_blocks(extent e, std::span<std::byte> in) noexcept {
        ++reads;
        if (on_read) on_read(e);
        for (auto i = e.first; i < e.end(); i = i + block_count{1}) {
            const auto bad = bad_reads.find(i.value);
            if (bad != bad_reads.end() && bad->second > 0) {
                --bad->second;
                return error{errc::device_failed, i, 5};
            }
        }
        std::memcpy(in.data(), bytes.data() + e.first.value * block_bytes, in.size());
        return success();
    }
    [[nodiscard]] result<> write_blocks(extent e, std::span<const std::byte> out) noexcept {
        if (!all(e.first.value, e.count.value, use::reserved)) return errc::invalid_argument;
        std::memcpy(bytes.data() + e.first.value * block_bytes, out.data(), out.size());
        if (lying_writes > 0) {
            --lying_writes;
            bytes[e.first.value * block_bytes] ^= std::byte{1};
        }
        blocks_written += e.count.value;
        return success();
    }
    [[nodiscard]] result<bool> flip(object_id id, logical_block first, block_count count, std::uint64_t expected,
                                    extent target) noexcept {
        if (on_flip) on_flip();
        if (flip_errors > 0) {
            --flip_errors;
            return flip_error;
        }
        if (!owners.contains(id.value)) return errc::not_found;
        if (owners[id.value].generation != expected) return false;
        std::vector<mapped_extent> after;
        block_count                used{};
        for (auto piece : owners[id.value].map) {
            const auto end = piece.logical + piece.physical.count;
            if (end <= first || piece.logical >= first + count) {
                after.push_back(piece);
                continue;
            }
            const auto from = std::max(piece.logical, first);
            const auto to   = std::min(end, first + count);
            if (piece.logical < from)
                after.push_back(
                    {piece.logical, {piece.physical.first, from - piece.logical}, piece.pinned, piece.unwritten});
            set({piece.physical.first + (from - piece.logical), to - from}, use::retired);
            after.push_back({from, {target.first + used, to - from}, false, piece.unwritten});
            used += to - from;
            if (to < end)
                after.push_back(
                    {to, {piece.physical.first + (to - piece.logical), end - to}, piece.pinned, piece.unwritten});
        }
        if (used != target.count) return errc::invalid_argument;
        set(target, use::used);
        owners[id.value] = {++generation, after};
        ++flips;
        return true;
    }
    [[nodiscard]] result<> sync() noexcept {
        ++syncs;
        if (sync_error.code != errc::none) return sync_error;
        for (auto& u : uses) {
            if (u == use::retired) u = use::free;
        }
        if (on_sync) on_sync();
        return success();
    }

    /// A writer in the foreground: one block of the owner gets new content in a fresh place.
    void overwrite(std::uint64_t id, std::uint64_t logical) {
        const auto fresh = free_runs().back().end() - block_count{1};
        for (auto& piece : owners[id].map) {
            if (!extent{{piece.logical.value}, piece.physical.count}.contains({logical})) continue;
            const auto old       = piece;
            const auto at        = block_count{logical - old.logical.value};
            piece.physical.count = at;
            const mapped_extent one{{logical}, {fresh, {1}}, false, false};
            const mapped_extent rest{
                {logical + 1},
                {old.physical.first + at + block_count{1}, old.physical.count - at - block_count{1}},
                old.pinned,
                false};
            auto& map = owners[id].map;
            map.push_back(one);
            map.push_back(rest);
            set({old.physical.first + at, {1}}, use::free);
            break;
        }
        auto& map = owners[id].map;
        std::erase_if(map, [](auto& piece) { return piece.physical.empty(); });
        std::sort(map.begin(), map.end(), [](auto& a, auto& b) { return a.logical < b.logical; });
        uses[fresh.value] = use::used;
        random_bits random{id * 1'000'003 + logical + 7777U};
        random.fill({bytes.data() + fresh.value * block_bytes, block_bytes});
        overwritten.insert({id, logical});
        owners[id].generation = ++generation;
    }

    std::map<std::uint64_t, fake_owner>               owners;
    std::vector<use>                                  uses;
    std::vector<int>                                  holds;
    std::vector<std::byte>                            bytes;
    std::uint64_t                                     group;
    std::uint64_t                                     generation = 0;
    std::map<std::uint64_t, int>                      bad_reads;  ///< Block, and how often its reads still fail.
    std::set<std::pair<std::uint64_t, std::uint64_t>> overwritten;
    std::function<void(extent)>                       on_read;
    std::function<void()>                             on_flip;
    std::function<void()>                             on_sync;
    error                                             walk_error, sync_error, flip_error;
    int                                               flip_errors  = 0;
    int                                               lying_writes = 0;
    std::uint64_t                                     reads = 0, blocks_written = 0, flips = 0, syncs = 0, calls = 0;

  private:
    [[nodiscard]] bool all(std::uint64_t first, std::uint64_t count, use what) const {
        for (auto i = first; i < first + count; ++i) {
            if (uses[i] != what) return false;
        }
        return true;
    }
    void set(extent e, use what) {
        for (auto i = e.first; i < e.end(); i = i + block_count{1}) uses.at(i.value) = what;
    }
    [[nodiscard]] static std::vector<mapped_extent> merged(const std::vector<mapped_extent>& map) {
        std::vector<mapped_extent> out;
        for (const auto& piece : map) {
            if (!out.empty() && out.back().logical + out.back().physical.count == piece.logical &&
                out.back().physical.end() == piece.physical.first && out.back().pinned == piece.pinned &&
                out.back().unwritten == piece.unwritten) {
                out.back().physical.count += piece.physical.count;
            } else {
                out.push_back(piece);
            }
        }
        return out;
    }
    [[nodiscard]] bool is_free(std::uint64_t i) const { return i < uses.size() && uses[i] == use::free; }

    static bool touches(const std::vector<mapped_extent>& map, const defrag_candidate& c, extent scope) {
        for (const auto& piece : map) {
            if (piece.logical >= c.first && piece.logical.value < c.first.value + c.blocks.value &&
                overlap(piece.physical, scope))
                return true;
        }
        return false;
    }

    /// The next range of the owner from the cursor on; moves the cursor behind it.
    std::optional<defrag_candidate> candidate_of(std::uint64_t id, const std::vector<mapped_extent>& map,
                                                 relocation_cursor& cursor, candidate_request wanted) {
        for (std::size_t i = 0; i < map.size(); ++i) {
            if (map[i].logical < cursor.logical) continue;
            defrag_candidate c{.owner = {id}, .first = map[i].logical, .owner_extents = map.size()};
            if (wanted.kind == candidate_kind::free_space_gap) {
                const auto e   = map[i].physical;
                cursor.logical = map[i].logical + block_count{1};
                if (e.first.value == 0 || !is_free(e.first.value - 1) || !is_free(e.end().value) ||
                    e.count > wanted.window)
                    continue;
                c.blocks           = e.count;
                c.extents          = 1;
                c.free_runs_merged = 1;
                c.reads_before = c.reads_after = 1;
                c.has_pinned                   = map[i].pinned;
            } else {
                auto end = i;
                while (end < map.size() && (end == i || c.blocks + map[end].physical.count <= wanted.window)) {
                    c.blocks += std::min(map[end].physical.count, wanted.window - c.blocks);
                    c.has_pinned = c.has_pinned || map[end].pinned;
                    c.reads_before += (map[end].physical.count.value + 511) / 512;
                    ++end;
                }
                c.extents      = end - i;
                c.reads_after  = (c.blocks.value + 511) / 512;
                cursor.logical = map[end - 1].logical + map[end - 1].physical.count;
                if (c.extents < 2) {
                    i = end - 1;
                    continue;
                }
            }
            c.bytes = c.blocks.value * block_bytes;
            return c;
        }
        return std::nullopt;
    }
};
static_assert(RelocationHost<fake_host>);

}  // namespace ashlar_test
