/// ashlar shrink and ashlar grow: another size for a volume, in the foreground and in bounded steps.

#include "commands.hpp"

#include "../progress_bar.hpp"
#include "../steps.hpp"
#include "../target.hpp"
#include "../volume_size.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>

namespace cli {
namespace {

using ashlar::stop_reason;

nlohmann::ordered_json document_of(const context& with, const growth_facts& facts, bool dry_run,
                                   std::uint64_t block_bytes) {
    return {{"volume", with.volume},
            {"dry_run", dry_run},
            {"blocks_before", facts.before},
            {"blocks_after", facts.after},
            {"bytes_before", facts.before * block_bytes},
            {"bytes_after", facts.after * block_bytes},
            {"table_blocks", facts.tables},
            {"device_blocks", facts.device}};
}

nlohmann::ordered_json document_of(const context& with, const shrink_facts& facts, bool dry_run,
                                   std::uint64_t block_bytes) {
    return {{"volume", with.volume},
            {"dry_run", dry_run},
            {"blocks_before", facts.before},
            {"blocks_after", facts.after},
            {"bytes_before", facts.before * block_bytes},
            {"bytes_after", facts.after * block_bytes},
            {"smallest_blocks", facts.smallest},
            {"smallest_bytes", facts.smallest * block_bytes},
            {"blocks_in_the_way", facts.in_use},
            {"table_blocks", facts.tables},
            {"device_blocks", facts.device}};
}

/// How a shrink ended that was not interrupted. What is in its way is an answer; other errors have nothing to list.
result<exit_code> tell(const context& with, const shrink_facts& plan, const shrunk_facts& done,
                       std::uint64_t block_bytes, double seconds) {
    auto fields                = document_of(with, plan, false, block_bytes);
    fields["blocks_after"]     = done.after;
    fields["bytes_after"]      = done.after * block_bytes;
    fields["blocks_moved"]     = done.moved;
    fields["bytes_given_back"] = done.given_back * block_bytes;
    fields["obstacles"]        = document_of(done.obstacles);
    fields["obstacles_found"]  = done.obstacle_count;
    fields["failure"]          = done.why ? nlohmann::ordered_json(done.why->what) : nlohmann::ordered_json();
    fields["seconds"]          = seconds;
    if (done.why && done.obstacle_count == 0) return *done.why;
    with.out.document(with.command, fields);
    if (done.why) {
        with.out.answer(fmt::format("in the way of {}:\n{}", human_bytes(plan.after * block_bytes),
                                    list_of(done.obstacles, done.obstacle_count)));
        if (with.out.json) return done.why->code;  // the document says why
        return *done.why;
    }
    with.out.say(fmt::format("shrank {} from {} to {}: {} moved, the file gave back {}; {}", with.volume,
                             human_bytes(plan.before * block_bytes), human_bytes(done.after * block_bytes),
                             human_bytes(done.moved * block_bytes), human_bytes(done.given_back * block_bytes),
                             human_seconds(seconds)));
    return exit_code::ok;
}

}  // namespace

result<exit_code> run_grow(const context& with, const resize_options& options) {
    BOOST_OUTCOME_TRY(expect_whole_blocks(options.bytes, with.volume));
    BOOST_OUTCOME_TRY(auto on,
                      volume::open_finished(with.volume, options.dry_run ? access::read_only : access::read_write));
    const std::uint64_t        block_bytes = on.facts().block_bytes;
    std::optional<volume_size> size{std::in_place, on};
    const std::uint64_t        blocks = options.bytes / block_bytes;
    if (options.dry_run) {
        BOOST_OUTCOME_TRY(const auto plan, size->plan_growth(blocks));
        with.out.answer(fmt::format("would grow from {} to {}; nothing was changed",
                                    human_bytes(plan.before * block_bytes), human_bytes(plan.after * block_bytes)));
        with.out.document(with.command, document_of(with, plan, true, block_bytes));
        return exit_code::ok;
    }
    BOOST_OUTCOME_TRY(const auto grown, size->grow(blocks));
    size.reset();  // it works on an open volume
    BOOST_OUTCOME_TRY(on.close());
    with.out.say(fmt::format("grew {} from {} to {}; {} of it describe the rest", with.volume,
                             human_bytes(grown.before * block_bytes), human_bytes(grown.after * block_bytes),
                             human_bytes(grown.tables * block_bytes)));
    with.out.document(with.command, document_of(with, grown, false, block_bytes));
    return exit_code::ok;
}

result<exit_code> run_shrink(const context& with, const resize_options& options) {
    BOOST_OUTCOME_TRY(expect_whole_blocks(options.bytes, with.volume));
    BOOST_OUTCOME_TRY(auto on,
                      volume::open_finished(with.volume, options.dry_run ? access::read_only : access::read_write));
    const std::uint64_t        block_bytes = on.facts().block_bytes;
    std::optional<volume_size> size{std::in_place, on};
    const std::uint64_t        blocks = options.bytes / block_bytes;
    BOOST_OUTCOME_TRY(const auto plan, size->plan_shrink(blocks));
    if (options.dry_run) {
        with.out.answer(
            fmt::format("would shrink from {} to {}: {} in the way move; the smallest size is {}\n"
                        "nothing was changed",
                        human_bytes(plan.before * block_bytes), human_bytes(plan.after * block_bytes),
                        human_bytes(plan.in_use * block_bytes), human_bytes(plan.smallest * block_bytes)));
        with.out.document(with.command, document_of(with, plan, true, block_bytes));
        return exit_code::ok;
    }
    const progress_bar clock{"", true};
    BOOST_OUTCOME_TRY(size->begin_shrink(blocks, options.bytes_per_second));
    const auto last =
        run_steps(on, *size, "shrink", with.out, plan.in_use, [&](const auto&, auto&) { return !size->shrinks(); });
    const auto   done    = size->shrunk();
    const double seconds = clock.seconds();
    size.reset();
    BOOST_OUTCOME_TRY(on.close());
    if (last.reasons.has(stop_reason::cancelled))
        return failure{exit_code::interrupted,
                       fmt::format("interrupted after {} moved; the volume has its old size and is whole",
                                   human_bytes(done.moved * block_bytes)),
                       with.volume, "run the same command to go on"};
    return tell(with, plan, done, block_bytes, seconds);
}

}  // namespace cli
