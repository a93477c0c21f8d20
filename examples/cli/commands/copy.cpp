/// ashlar copy: copies a volume to another one, of its size or any other, in bounded steps.

#include "commands.hpp"

#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../steps.hpp"
#include "../target.hpp"
#include "../volume_copier.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>

namespace cli {
namespace {

using ashlar::stop_reason;

constexpr std::uint64_t    step_bytes = 1024 * 1024;                 ///< So that Ctrl-C is heard soon.
constexpr ashlar::duration sync_after = ashlar::milliseconds(1000);  ///< A kill loses what was copied in this time.

/// What the target is to be, after a look at what stands there.
struct copy_plan {
    bool                create       = false;  ///< A file that does not exist, or is empty.
    bool                formats      = false;  ///< Nothing stands there yet.
    std::uint64_t       bytes        = 0;      ///< Of the target.
    std::uint32_t       record_bytes = 0;
    std::uint32_t       extents      = 0;  ///< That each record holds.
    std::uint64_t       nodes        = 0;  ///< Blocks that objects need beside those of the source, for other extents.
    copy_estimate_facts takes{};
};

/// As `format` does, but for a volume: that one may go on as a copy, or be empty.
result<> check_target(const context& with, const copy_options& options, const format_target& target) {
    std::error_code ignored;
    if (std::filesystem::equivalent(with.volume, options.target, ignored))
        return failure{exit_code::usage, "source and target are the same volume", options.target, "name another place"};
    if (!target.mounted_at.empty()) {
        const auto what = target.mounted_at == "swap" ? std::string{"the device is in use as swap"}
                                                      : fmt::format("the device is mounted at {}", target.mounted_at);
        return failure{exit_code::busy, what, options.target, "unmount it first, or use another place"};
    }
    if (!target.holds.empty() && target.block_bytes == 0) {
        return failure{exit_code::failed, fmt::format("{} stands here", target.holds), options.target,
                       "use another place, or 'ashlar format --force' to destroy it"};
    }
    return success();
}

/// Bytes of the target. What is asked for must be whole blocks, and what exists keeps its size.
result<std::uint64_t> target_bytes(const copy_options& options, const format_target& target,
                                   const volume_facts& source) {
    const std::uint64_t block = source.block_bytes;
    BOOST_OUTCOME_TRY(expect_whole_blocks(options.bytes, block, options.target));
    if (!target.exists || target.bytes == 0) return options.bytes != 0 ? options.bytes : source.blocks * block;
    const auto has = target.holds_volume ? target.blocks * target.block_bytes : target.bytes / block * block;
    if (options.bytes != 0 && options.bytes != has) {
        return failure{exit_code::usage, fmt::format("the target exists, and has {}", human_bytes(has)), options.target,
                       "leave --size out to use all of it"};
    }
    return has;
}

/// `blocks` are those that objects and regions of the copy can have.
result<> expect_room(const copy_options& options, const copy_plan& plan, std::uint64_t blocks,
                     std::uint32_t block_bytes) {
    const auto needed = plan.takes.blocks + plan.takes.reserved + plan.nodes;
    if (needed <= blocks) return success();
    return failure{exit_code::no_space,
                   fmt::format("the copy does not fit: it needs {}, and {} have room",
                               human_bytes(needed * block_bytes), human_bytes(blocks * block_bytes)),
                   options.target, "use a larger target"};
}

result<copy_plan> plan_copy(const context& with, const copy_options& options, volume& from) {
    BOOST_OUTCOME_TRY(volume_copier::check_source(from));
    const auto source = from.facts();
    BOOST_OUTCOME_TRY(const auto target, look_at(options.target));
    BOOST_OUTCOME_TRY(check_target(with, options, target));
    copy_plan plan;
    plan.create       = !target.exists || (target.bytes == 0 && !target.block_device);
    plan.formats      = !target.holds_volume;
    plan.record_bytes = options.record_bytes != 0 ? options.record_bytes : source.record_bytes;
    BOOST_OUTCOME_TRY(plan.bytes, target_bytes(options, target, source));
    BOOST_OUTCOME_TRY(plan.takes, volume_copier::estimate(from));
    if (!plan.formats) return plan;  // what is there says how much it has room for
    BOOST_OUTCOME_TRY(plan.extents, volume_copier::extents_when_new(from, plan.takes.feature_bytes, plan.record_bytes,
                                                                    options.target));
    BOOST_OUTCOME_TRY(plan.nodes, volume_copier::nodes_when_new(from, plan.extents));
    const auto room = volume_copier::room_when_new(plan.takes.records, plan.bytes / source.block_bytes,
                                                   source.block_bytes, plan.record_bytes);
    BOOST_OUTCOME_TRY(expect_room(options, plan, room, source.block_bytes));
    return plan;
}

struct copy_target {
    volume        on;
    std::uint64_t already = 0;  ///< Blocks of the copy that it has.
};

/// The target that stands there, which may be empty, or have a part of the copy.
result<copy_target> open_target(const copy_options& options, const copy_plan& plan, volume& from, access mode) {
    BOOST_OUTCOME_TRY(auto to, volume::open(options.target, mode));
    BOOST_OUTCOME_TRY(volume_copier::check_target(from, to));
    const auto made = to.facts();
    if (options.record_bytes != 0 && options.record_bytes != made.record_bytes) {
        return failure{exit_code::usage, fmt::format("the target's records have {} bytes", made.record_bytes),
                       options.target, "leave --record-bytes out to go on"};
    }
    BOOST_OUTCOME_TRY(const auto has, volume_copier::estimate(to));
    auto expected = plan;
    if (!to.is_unfinished_copy()) {
        BOOST_OUTCOME_TRY(expected.nodes, volume_copier::nodes_when_new(from, made.inline_extents));
    }
    BOOST_OUTCOME_TRY(
        expect_room(options, expected, made.available_blocks + has.blocks + has.reserved, made.block_bytes));
    return copy_target{std::move(to), has.blocks};
}

/// The target opened for the copy: made where nothing stood, else looked at before, as to open for writing writes.
result<copy_target> prepare_target(const copy_options& options, const copy_plan& plan, volume& from) {
    const auto source = from.facts();
    if (plan.formats) {
        BOOST_OUTCOME_TRY(volume::format({.path           = options.target,
                                          .bytes          = plan.bytes,
                                          .block_bytes    = source.block_bytes,
                                          .label          = source.label,
                                          .record_bytes   = plan.record_bytes,
                                          .inline_extents = plan.extents,
                                          .create         = plan.create}));
    } else {
        BOOST_OUTCOME_TRY(open_target(options, plan, from, access::read_only));
    }
    return open_target(options, plan, from, access::read_write);
}

nlohmann::ordered_json document_of(const context& with, const copy_options& options, const copy_plan& plan,
                                   std::uint32_t block_bytes) {
    return {{"volume", with.volume},
            {"target", options.target},
            {"dry_run", options.dry_run},
            {"formats", plan.formats},
            {"target_bytes", plan.bytes},
            {"block_bytes", block_bytes},
            {"objects", plan.takes.objects},
            {"regions", plan.takes.regions},
            {"blocks", plan.takes.blocks},
            {"reserved_blocks", plan.takes.reserved},
            {"skipped_blocks", plan.takes.skipped}};
}

result<exit_code> dry_run(const context& with, const copy_options& options, const copy_plan& plan, volume& from) {
    const auto source = from.facts();
    if (!plan.formats) { BOOST_OUTCOME_TRY(open_target(options, plan, from, access::read_only)); }
    const auto size = [&](std::uint64_t blocks) { return human_bytes(blocks * source.block_bytes); };
    with.out.answer(fmt::format(
        "would copy {} and {}: {} read and written, {} reserved, {} of the source skipped\n{}, {}\nnothing was written",
        counted(plan.takes.objects, "object"), counted(plan.takes.regions, "region"), size(plan.takes.blocks),
        size(plan.takes.reserved), size(plan.takes.skipped),
        plan.formats ? "to a new volume" : "to a volume that is empty, or has a part of the copy",
        human_bytes(plan.bytes)));
    with.out.document(with.command, document_of(with, options, plan, source.block_bytes));
    return exit_code::ok;
}

/// Steps until the copy is complete, fails, or Ctrl-C. The answer is what the last step said.
result<ashlar::progress> copy(volume_copier& task, volume& to, const output& out, const copy_plan& plan,
                              std::uint64_t already) {
    const std::uint64_t block_bytes = to.facts().block_bytes;
    progress_bar        bar{"copy", out.quiet};
    auto                synced = to.now();
    for (;;) {
        const auto now = task.step(step_bytes);
        if (now.reasons.has(stop_reason::finished) || now.reasons.has(stop_reason::device_error) || interrupted())
            return now;
        if (to.now() > synced + sync_after) {
            BOOST_OUTCOME_TRY(to.sync());
            synced = to.now();
        }
        const bool   throttled = now.reasons.has(stop_reason::throttled);
        const auto   copied    = now.moved.value * block_bytes;
        const double rate      = static_cast<double>(copied) / std::max(bar.seconds(), 0.001);
        const auto   done      = already + now.moved.value;
        const auto   total     = std::max(plan.takes.blocks, done);
        auto remark = fmt::format("{} copied, {}", human_bytes(copied), human_rate(static_cast<std::uint64_t>(rate)));
        if (total > done && rate > 0)
            remark += fmt::format(", {} left", human_seconds(static_cast<double>((total - done) * block_bytes) / rate));
        if (throttled) remark += ", throttled to keep the rate";
        bar.show(done, total, remark);
        if (throttled) wait_for_grant(to, now.not_before);
    }
}

}  // namespace

result<exit_code> run_copy(const context& with, const copy_options& options) {
    BOOST_OUTCOME_TRY(auto from, volume::open(with.volume, access::read_only));
    BOOST_OUTCOME_TRY(const auto plan, plan_copy(with, options, from));
    if (options.dry_run) return dry_run(with, options, plan, from);

    const progress_bar clock{"", true};
    BOOST_OUTCOME_TRY(auto target, prepare_target(options, plan, from));
    auto& to = target.on;
    BOOST_OUTCOME_TRY(auto opened, volume_copier::open(from, to, options.bytes_per_second));
    std::optional<volume_copier> task{std::move(opened)};
    BOOST_OUTCOME_TRY(const auto last, copy(*task, to, with.out, plan, target.already));
    if (last.reasons.has(stop_reason::device_error)) return task->failed(last.failure);
    const auto done = task->copied();
    task.reset();  // it works on open volumes
    BOOST_OUTCOME_TRY(to.close());
    const std::uint64_t block_bytes = from.facts().block_bytes;
    const auto          bytes       = done.blocks * block_bytes;
    if (!last.reasons.has(stop_reason::finished)) {
        return failure{
            exit_code::interrupted,
            fmt::format("interrupted after {} copied; the target is consistent, and not complete", human_bytes(bytes)),
            options.target, "run the same command to go on"};
    }
    const double seconds = clock.seconds();
    const auto   rate    = static_cast<std::uint64_t>(static_cast<double>(bytes) / std::max(seconds, 1e-6));
    const auto   gain    = done.resumed || done.speed_up_percent == 0
                               ? std::string{}
                               : fmt::format(", {:.1f} times as fast as every block would be",
                                             static_cast<double>(done.speed_up_percent) / 100);
    with.out.say(fmt::format("copied {} to {}: {}, {}, {} in {} ({}){}; {} of the source skipped{}", with.volume,
                             options.target, counted(done.objects, "object"), counted(done.regions, "region"),
                             human_bytes(bytes), human_seconds(seconds), human_rate(rate),
                             done.resumed ? ", which were left of a copy that was stopped" : "",
                             counted(plan.takes.skipped, "block"), gain));
    auto fields                = document_of(with, options, plan, from.facts().block_bytes);
    fields["resumed"]          = done.resumed;
    fields["objects_copied"]   = done.objects;
    fields["regions_copied"]   = done.regions;
    fields["blocks_copied"]    = done.blocks;
    fields["bytes_copied"]     = bytes;
    fields["seconds"]          = seconds;
    fields["bytes_per_second"] = rate;
    fields["speed_up_percent"] = done.speed_up_percent;
    with.out.document(with.command, fields);
    return exit_code::ok;
}

}  // namespace cli
