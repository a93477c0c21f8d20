/// ashlar age: fragments a volume as years of use would, without changing a byte of what was imported.

#include "commands.hpp"

#include "../analysis.hpp"
#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

/// Small, seeded, and the same on every platform (splitmix64): the same seed ages the same volume in the same way.
class random_numbers {
  public:
    explicit random_numbers(std::uint64_t seed) noexcept : state_{seed} {}
    std::uint64_t below(std::uint64_t bound) noexcept {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
        z               = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9;
        z               = (z ^ (z >> 27U)) * 0x94D049BB133111EB;
        return (z ^ (z >> 31U)) % bound;
    }

  private:
    std::uint64_t state_;
};

/// Rewrites every other block of objects with its own bytes. An overwrite goes to fresh blocks, so each one cuts the
/// object's extent; objects are cut in turns, and fillers between the fresh blocks keep those from lying in one run.
class ager {
  public:
    ager(volume& on, const age_options& options)
        : on_{on}, options_{options}, random_{options.seed}, block_bytes_{on.facts().block_bytes} {}

    /// Counts the objects and picks those that have enough blocks.
    result<> look() {
        for (ashlar::object_id last{};;) {
            BOOST_OUTCOME_TRY(const auto next, on_.next_object(last));
            if (!next) break;
            last = *next;
            BOOST_OUTCOME_TRY(const auto object, on_.object(last));
            if (object.extents == 0) continue;
            ++with_data_;
            const bool already = object.extents >= options_.extents_min;
            fragmented_ += already ? 1U : 0U;
            reachable_ += object.blocks >= options_.extents_min ? 1U : 0U;
            if (!already && object.blocks >= options_.extents_min && object.blocks > 1) candidates_.push_back(object);
        }
        for (std::size_t i = candidates_.size(); i > 1; --i)
            std::swap(candidates_[i - 1], candidates_[random_.below(i)]);
        return success();
    }

    [[nodiscard]] double ratio() const {
        return with_data_ == 0 ? 0 : static_cast<double>(fragmented_) / static_cast<double>(with_data_);
    }
    [[nodiscard]] double ratio_max() const {
        return with_data_ == 0 ? 0 : static_cast<double>(reachable_) / static_cast<double>(with_data_);
    }
    [[nodiscard]] std::uint64_t rewritten() const { return rewritten_; }

    /// Cuts objects until the ratio is reached or none is left.
    result<> work(const output& out) {
        progress_bar bar{"age", out.quiet};
        for (std::size_t first = 0; first < candidates_.size() && ratio() < options_.until; first += objects_in_turn) {
            const auto turn =
                std::span{candidates_}.subspan(first, std::min(objects_in_turn, candidates_.size() - first));
            BOOST_OUTCOME_TRY(cut_in_turns(turn));
            BOOST_OUTCOME_TRY(on_.sync());
            BOOST_OUTCOME_TRY(count(turn));
            bar.show(static_cast<std::uint64_t>(ratio() * 1000), static_cast<std::uint64_t>(options_.until * 1000),
                     fmt::format("{} fragmented", percent(ratio())));
        }
        return success();
    }

    /// The fillers go; the free space that they leave lies in many runs.
    result<> erase_fillers() {
        for (const auto filler : fillers_) { BOOST_OUTCOME_TRY(on_.erase(filler)); }
        fillers_.clear();
        return on_.sync();
    }

  private:
    static constexpr std::size_t   objects_in_turn = 64;
    static constexpr std::uint64_t cuts_per_object = 24;
    static constexpr std::uint64_t kept_bytes_max =
        64 * 1024;  ///< Objects up to this size are read once, not block by block.
    static constexpr std::uint64_t filler_blocks_max = 4;
    static constexpr std::uint64_t writes_per_sync   = 512;
    static constexpr std::size_t   fillers_max       = 64;

    struct aged_object {
        object_facts           facts{};
        std::vector<std::byte> bytes{};  ///< All of a small object, nothing of a large one.
    };

    result<std::vector<aged_object>> load(std::span<const object_facts> turn) {
        std::vector<aged_object> objects;
        for (const auto& facts : turn) {
            objects.push_back({facts, std::vector<std::byte>(facts.size <= kept_bytes_max ? facts.size : 0)});
            BOOST_OUTCOME_TRY(on_.read(facts.id, 0, objects.back().bytes));
        }
        return objects;
    }

    result<> cut_in_turns(std::span<const object_facts> turn) {
        BOOST_OUTCOME_TRY(make_filler());
        BOOST_OUTCOME_TRY(const auto objects, load(turn));
        for (std::uint64_t cut = 0; cut < cuts_per_object; ++cut) {
            bool any = false;
            for (const auto& object : objects) {
                const auto stride = std::max<std::uint64_t>(2, object.facts.blocks / cuts_per_object);
                const auto block  = 1 + cut * stride;
                if (block >= object.facts.blocks) continue;
                any = true;
                BOOST_OUTCOME_TRY(rewrite(object, block));
                if (random_.below(4) == 0) { BOOST_OUTCOME_TRY(fill()); }
                if (interrupted()) {
                    return failure{exit_code::interrupted,
                                   fmt::format("interrupted at {}; the files are as they were", percent(ratio())),
                                   on_.path(), "run the same command to go on"};
                }
            }
            if (!any) break;
        }
        return success();
    }

    /// The bytes of a block as they are; fewer at the end of the object.
    result<std::span<const std::byte>> bytes_of(const aged_object& object, std::uint64_t block) {
        const auto offset = block * block_bytes_;
        if (!object.bytes.empty()) {
            if (offset >= object.bytes.size()) return std::span<const std::byte>{};
            return std::span{object.bytes}.subspan(offset).first(
                std::min<std::size_t>(block_bytes_, object.bytes.size() - offset));
        }
        buffer_.resize(block_bytes_);
        BOOST_OUTCOME_TRY(const auto got, on_.read(object.facts.id, offset, buffer_));
        return std::span<const std::byte>{buffer_}.first(got);
    }

    /// Writes the block's own bytes over it.
    result<> rewrite(const aged_object& object, std::uint64_t block) {
        BOOST_OUTCOME_TRY(const auto bytes, bytes_of(object, block));
        if (bytes.empty()) return success();  // a sparse object has fewer blocks than its size says
        const auto write   = [&] { return on_.write(object.facts.id, block * block_bytes_, bytes); };
        auto       written = write();
        if (!written && written.error().code == exit_code::no_space && !fillers_.empty()) {
            BOOST_OUTCOME_TRY(erase_fillers());
            BOOST_OUTCOME_TRY(make_filler());
            written = write();
        }
        BOOST_OUTCOME_TRY(written);
        ++rewritten_;
        return ++unsynced_ % writes_per_sync == 0 ? on_.sync() : success();
    }

    /// Each turn has a filler of its own. When there are many, a random one goes: its holes take what is written next.
    result<> make_filler() {
        if (fillers_.size() >= fillers_max) {
            const auto place = fillers_.begin() + static_cast<std::ptrdiff_t>(random_.below(fillers_.size()));
            BOOST_OUTCOME_TRY(on_.erase(*place));
            fillers_.erase(place);
        }
        BOOST_OUTCOME_TRY(const auto filler, on_.create(object_tag::filler));
        fillers_.push_back(filler);
        filled_ = 0;
        return success();
    }

    result<> fill() {
        const auto facts = on_.facts();
        if (facts.free_blocks * 8 < facts.blocks) return success();  // room that the data needs
        const auto             bytes = (1 + random_.below(filler_blocks_max)) * block_bytes_;
        std::vector<std::byte> noise(bytes, std::byte{0xA5});
        BOOST_OUTCOME_TRY(on_.write(fillers_.back(), filled_, noise));
        filled_ += bytes;
        return success();
    }

    result<> count(std::span<const object_facts> turn) {
        for (const auto& object : turn) {
            BOOST_OUTCOME_TRY(const auto now, on_.object(object.id));
            fragmented_ += now.extents >= options_.extents_min ? 1U : 0U;
        }
        return success();
    }

    volume&                        on_;
    const age_options&             options_;
    random_numbers                 random_;
    std::uint32_t                  block_bytes_;
    std::vector<object_facts>      candidates_{};
    std::vector<ashlar::object_id> fillers_{};
    std::vector<std::byte>         buffer_{};
    std::uint64_t with_data_ = 0, fragmented_ = 0, reachable_ = 0, rewritten_ = 0, unsynced_ = 0, filled_ = 0;
};

}  // namespace

result<exit_code> run_age(const context& with, const age_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, access::read_write));
    const auto tree = load_tree(on);
    if (!tree && tree.error().code == exit_code::corrupt) return tree.error();
    if (tree) { BOOST_OUTCOME_TRY(erase_leftovers(on, tree.value())); }
    const progress_bar clock{"", true};
    ager               work{on, options};
    BOOST_OUTCOME_TRY(work.look());
    const double before = work.ratio();
    if (work.ratio_max() < options.until) {
        return failure{
            exit_code::failed,
            fmt::format(
                "at most {} of the objects have {} blocks or more, so {} cannot be reached; nothing was changed",
                percent(work.ratio_max()), options.extents_min, percent(options.until)),
            with.volume, "give a smaller --until or --extents-min, or format with smaller blocks"};
    }
    const auto worked = work.work(with.out);
    BOOST_OUTCOME_TRY(work.erase_fillers());
    BOOST_OUTCOME_TRY(worked);
    BOOST_OUTCOME_TRY(const auto space, on.space());
    BOOST_OUTCOME_TRY(on.close());

    const double seconds = clock.seconds();
    const bool   reached = work.ratio() >= options.until;
    with.out.say(fmt::format(
        "aged {}: {} of the objects are fragmented, {} before; {} rewritten with their own bytes in {}", with.volume,
        percent(work.ratio()), percent(before), counted(work.rewritten(), "block"), human_seconds(seconds)));
    if (!reached) {
        return failure{exit_code::failed, fmt::format("only {} was reached", percent(work.ratio())), with.volume,
                       "give another --seed, or a smaller --until"};
    }
    with.out.document(with.command, {{"volume", with.volume},
                                     {"seed", options.seed},
                                     {"object_fragmentation_before", before},
                                     {"object_fragmentation", work.ratio()},
                                     {"free_fragmentation", space.free_fragmentation},
                                     {"free_runs", space.free_runs},
                                     {"blocks_rewritten", work.rewritten()},
                                     {"seconds", seconds}});
    return exit_code::ok;
}

}  // namespace cli
