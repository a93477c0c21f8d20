/// ashlar format: makes a volume, after a look at what it would destroy.

#include "commands.hpp"

#include "../target.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

/// Whether formatting may begin. A lock that another process holds is no matter of force: `volume::format` meets it.
result<> check_target(const context& with, const format_options& options, const format_target& target) {
    if (!target.mounted_at.empty() && !options.force) {
        const auto what = target.mounted_at == "swap" ? std::string{"the device is in use as swap"}
                                                      : fmt::format("the device is mounted at {}", target.mounted_at);
        return failure{exit_code::busy, what, with.volume,
                       "unmount it first, or give --force to destroy what is on it"};
    }
    if (!target.holds.empty() && !options.force) {
        return failure{exit_code::failed, fmt::format("{} stands here", target.holds), with.volume,
                       "use another place, or give --force to destroy it"};
    }
    if ((!target.exists || (target.bytes == 0 && !target.block_device)) && options.bytes == 0) {
        return failure{exit_code::usage, "a new volume needs a size", with.volume, "give --size, such as --size 1G"};
    }
    if (target.exists && !target.block_device && target.bytes != 0 && options.bytes != 0 &&
        options.bytes != target.bytes) {
        return failure{exit_code::usage, fmt::format("the file exists, and has {} bytes", target.bytes), with.volume,
                       "leave --size out to use all of it, or delete it first"};
    }
    if (target.block_device && options.bytes > target.bytes) {
        return failure{exit_code::usage, fmt::format("the device has only {}", human_bytes(target.bytes)), with.volume,
                       "leave --size out to use all of it"};
    }
    return success();
}

/// Bytes of the volume. What is asked for must be whole blocks; of an existing size a part of a block is left unused.
result<std::uint64_t> volume_bytes(const context& with, const format_options& options, const format_target& target) {
    BOOST_OUTCOME_TRY(expect_whole_blocks(options.bytes, options.block_bytes, with.volume));
    return options.bytes != 0 ? options.bytes : target.bytes / options.block_bytes * options.block_bytes;
}

}  // namespace

result<exit_code> run_format(const context& with, const format_options& options) {
    BOOST_OUTCOME_TRY(const auto target, look_at(with.volume));
    BOOST_OUTCOME_TRY(check_target(with, options, target));
    BOOST_OUTCOME_TRY(const auto bytes, volume_bytes(with, options, target));
    BOOST_OUTCOME_TRY(volume::format({.path        = with.volume,
                                      .bytes       = bytes,
                                      .block_bytes = options.block_bytes,
                                      .label       = options.label,
                                      .create      = !target.exists || (target.bytes == 0 && !target.block_device),
                                      .overwrite   = options.force,
                                      .sparse      = options.sparse}));

    // Opened again, so that the answer tells what stands on the disk.
    BOOST_OUTCOME_TRY(auto made, volume::open(with.volume, access::read_only));
    const auto facts = made.facts();
    BOOST_OUTCOME_TRY(made.close());
    with.out.say(fmt::format("formatted {}: {} in {} blocks of {} bytes, {} free, a journal of {}", with.volume,
                             human_bytes(bytes), facts.blocks, facts.block_bytes,
                             human_bytes(facts.free_blocks * facts.block_bytes),
                             human_bytes(facts.journal_blocks * facts.block_bytes)));
    if (!target.holds.empty()) with.out.warn(fmt::format("{} was replaced", target.holds));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"bytes", bytes},
                                     {"block_bytes", facts.block_bytes},
                                     {"blocks", facts.blocks},
                                     {"free_blocks", facts.free_blocks},
                                     {"journal_blocks", facts.journal_blocks},
                                     {"replaced", target.holds}});
    return exit_code::ok;
}

}  // namespace cli
