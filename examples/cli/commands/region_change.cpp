/// ashlar region-add, region-remove and region-pin: how regions come, go and stay.

#include "commands.hpp"

#include "../region_names.hpp"
#include "../target.hpp"
#include "../volume_regions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cli {
namespace {

nlohmann::ordered_json about(const context& with, ashlar::region_id name) {
    return {{"volume", with.volume}, {"type", type_text(name.type)}, {"number", name.number}};
}

}  // namespace

result<exit_code> run_region_add(const context& with, const region_add_options& options) {
    if (!options.share) { BOOST_OUTCOME_TRY(expect_whole_blocks(options.bytes, with.volume)); }
    BOOST_OUTCOME_TRY(auto on,
                      volume::open_finished(with.volume, options.dry_run ? access::read_only : access::read_write));
    const auto facts = on.facts();
    const auto share = options.share.value_or(ashlar::region_size::small);
    const auto blocks =
        options.share ? ashlar::blocks_of(share, {facts.blocks}).value : options.bytes / facts.block_bytes;
    const auto     bytes = blocks * facts.block_bytes;
    volume_regions regions{on};
    if (options.dry_run) {
        BOOST_OUTCOME_TRY(const auto place, regions.can_add(blocks));
        with.out.answer(fmt::format("a region {} of {} fits, at blocks {} to {}; nothing was changed",
                                    type_text(options.type), human_bytes(bytes), place.first.value,
                                    place.end().value - 1));
        with.out.document(with.command, {{"volume", with.volume},
                                         {"dry_run", true},
                                         {"type", type_text(options.type)},
                                         {"first", place.first.value},
                                         {"blocks", place.count.value}});
        return exit_code::ok;
    }
    BOOST_OUTCOME_TRY(const auto name, regions.add(options.type, blocks));
    BOOST_OUTCOME_TRY(const auto made, regions.find(name));
    BOOST_OUTCOME_TRY(on.close());
    with.out.say(fmt::format("added {}: {} at blocks {} to {}", text_of(name), human_bytes(bytes),
                             made.place.first.value, made.place.end().value - 1));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"dry_run", false},
                                     {"type", type_text(name.type)},
                                     {"number", name.number},
                                     {"first", made.place.first.value},
                                     {"blocks", made.place.count.value}});
    return exit_code::ok;
}

result<exit_code> run_region_remove(const context& with, const region_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, access::read_write));
    volume_regions regions{on};
    BOOST_OUTCOME_TRY(const auto gone, regions.find(options.name));
    BOOST_OUTCOME_TRY(regions.remove(options.name));
    const auto block_bytes = on.facts().block_bytes;
    BOOST_OUTCOME_TRY(on.close());
    with.out.say(fmt::format("removed {}: {} are free again", text_of(options.name),
                             human_bytes(gone.place.count.value * block_bytes)));
    auto fields            = about(with, options.name);
    fields["freed_blocks"] = gone.place.count.value;
    with.out.document(with.command, fields);
    return exit_code::ok;
}

result<exit_code> run_region_pin(const context& with, const region_pin_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, access::read_write));
    volume_regions regions{on};
    BOOST_OUTCOME_TRY(const auto before, regions.find(options.name));
    BOOST_OUTCOME_TRY(regions.pin(options.name, !options.off));
    BOOST_OUTCOME_TRY(on.close());
    with.out.say(options.off ? fmt::format("released {}: it may move and go", text_of(options.name))
                             : fmt::format("pinned {}: it neither moves nor goes", text_of(options.name)));
    auto fields          = about(with, options.name);
    fields["pinned"]     = !options.off;
    fields["was_pinned"] = before.pinned;
    with.out.document(with.command, fields);
    return exit_code::ok;
}

}  // namespace cli
