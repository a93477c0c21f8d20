#include "volume_size.hpp"

#include "output.hpp"
#include "region_names.hpp"
#include "target.hpp"
#include "volume_core.hpp"

#include <ashlar/shrinking.hpp>

#include <sys/stat.h>

#include <algorithm>

namespace cli {
namespace {

using ashlar::block_count;
using ashlar::errc;

using program_shrink = ashlar::shrinking<program_volume>;

}  // namespace

struct volume_size::core {
    volume::core&                 of;
    std::optional<program_shrink> task{};

    [[nodiscard]] ashlar::store_size<program_volume> size() const { return ashlar::store_size{of.store}; }
    [[nodiscard]] std::string                        bytes(std::uint64_t blocks) const {
                               return human_bytes(blocks * of.store.info().block.bytes);
    }
    [[nodiscard]] std::uint64_t device() const { return of.store.device().geometry().blocks.value; }

    [[nodiscard]] struct stat file() const {
        struct stat seen {};
        if (::fstat(of.store.device().native_handle(), &seen) != 0) seen = {};
        return seen;
    }
    /// A file may become longer first; a disk has the size that it has.
    [[nodiscard]] ashlar::growth_plan plan_growth(std::uint64_t blocks) const {
        const bool longer = blocks > device() && S_ISREG(file().st_mode);
        return size().plan_growth(block_count{blocks}, block_count{longer ? blocks : 0});
    }
    /// A file that has all of its space gets that of its new part too; one with holes stays sparse.
    [[nodiscard]] result<> lengthen(block_count to) {
        auto&      device = of.store.device();
        const auto before = file();
        const bool sparse = before.st_blocks * 512 < before.st_size;
        const auto first  = static_cast<std::uint64_t>(before.st_size);
        const auto end    = to.value * of.store.info().block.bytes;
        const auto longer = device.resize(to);
        if (!longer) return of.failed("cannot make the file longer", longer.error());
        if (sparse || first >= end) return success();
        return reserve_space(device.native_handle(), first, end - first, of.path);
    }
    /// After a growth that failed the file is as long as it was, but where its volume may have become larger: that is
    /// decided when it is opened again.
    void take_back(block_count had) {
        if (!of.store.read_only()) static_cast<void>(of.store.device().resize(had));
    }

    [[nodiscard]] failure growth_failure(const ashlar::growth_plan& plan, ashlar::error error) const {
        const auto& path = of.path;
        if (error.code == errc::out_of_range)
            return {exit_code::failed, fmt::format("only {} are there", bytes(plan.device.value)), path,
                    "enlarge the disk, or name a smaller size with --to"};
        if (error.code == errc::invalid_argument)
            return {exit_code::failed, fmt::format("the volume has {} already", bytes(plan.before.value)), path,
                    "name a larger size with --to, or enlarge the disk"};
        if (error.code == errc::no_space)
            return {exit_code::no_space, "the new blocks would not hold the tables that describe them", path,
                    "name a larger size with --to"};
        if (error.code == errc::too_large)
            return {exit_code::failed, "the tables of the volume have all their parts", path,
                    "copy it to a larger one with 'ashlar copy'"};
        return store_failure("cannot grow the volume", path, error);
    }
    [[nodiscard]] failure shrink_failure(const ashlar::shrink_plan& plan, ashlar::error error) const {
        const auto& path = of.path;
        const auto  smallest =
            fmt::format("the smallest size now is {} ({} blocks)", bytes(plan.smallest.value), plan.smallest.value);
        if (error.code == errc::invalid_argument)
            return {exit_code::failed, fmt::format("the volume has {}", bytes(plan.before.value)), path,
                    "name a smaller size with --to; 'ashlar grow' makes a volume larger"};
        if (error.code == errc::no_space) return {exit_code::no_space, smallest, path, "name a larger size with --to"};
        if (error.code == errc::pinned && plan.object)
            return {exit_code::failed,
                    fmt::format("object {} is pinned behind the new end; {}", plan.object.value, smallest), path,
                    "name a larger size with --to"};
        if (error.code == errc::pinned && ashlar::is_user_region(plan.region.type))
            return {exit_code::failed,
                    fmt::format("region {} is pinned behind the new end; {}", text_of(plan.region), smallest), path,
                    fmt::format("release it with 'ashlar region-pin VOLUME {} {} --off'", type_text(plan.region.type),
                                plan.region.number)};
        if (error.code == errc::pinned)
            return {exit_code::no_space, fmt::format("tables of the store lie behind the new end; {}", smallest), path,
                    "name a larger size with --to"};
        return store_failure("cannot shrink the volume", path, error);
    }
};

volume_size::volume_size(volume& of) : core_{std::make_unique<core>(core{*of.core_})} {}
volume_size::~volume_size() = default;

result<growth_facts> volume_size::plan_growth(std::uint64_t blocks) {
    const auto plan = core_->plan_growth(blocks);
    if (!plan.possible()) return core_->growth_failure(plan, plan.why);
    return growth_facts{plan.before.value, plan.after.value, plan.tables.value, plan.device.value};
}

result<growth_facts> volume_size::grow(std::uint64_t blocks) {
    const auto plan = core_->plan_growth(blocks);
    if (!plan.possible()) return core_->growth_failure(plan, plan.why);
    const block_count had{core_->device()};
    if (had < plan.device) {
        if (auto longer = core_->lengthen(plan.device); !longer) {
            core_->take_back(had);
            return longer.error();
        }
    }
    const auto grown = core_->size().grow(block_count{blocks});
    if (!grown) {
        if (had < plan.device) core_->take_back(had);
        return core_->growth_failure(plan, grown.error());
    }
    const auto& done = grown.value();
    return growth_facts{done.before.value, done.after.value, done.tables.value, done.device.value};
}

result<shrink_facts> volume_size::plan_shrink(std::uint64_t blocks) {
    const auto planned = core_->size().plan_shrink(block_count{blocks});
    if (!planned) return core_->of.failed("cannot plan a shrink", planned.error());
    const auto& plan = planned.value();
    if (!plan.possible()) return core_->shrink_failure(plan, plan.why);
    return shrink_facts{plan.before.value, plan.after.value,  plan.smallest.value,
                        plan.in_use.value, plan.tables.value, core_->device()};
}

result<> volume_size::begin_shrink(std::uint64_t blocks, std::uint64_t bytes_per_second) {
    program_shrink::options options;
    options.evacuation.moves.verify_target = true;
    options.evacuation.moves.obstacles_max = 64;
    options.evacuation.throttle            = throttle_for(bytes_per_second);
    auto made                              = program_shrink::open(core_->of.store, options);
    if (!made) return core_->of.failed("cannot shrink the volume", made.error());
    core_->task.emplace(std::move(made.value()));
    if (const auto begun = core_->task->start(block_count{blocks}); !begun)
        return core_->of.failed("cannot shrink the volume", begun.error());
    return success();
}

bool volume_size::shrinks() const { return core_->task->running(); }

ashlar::progress volume_size::step(std::uint64_t bytes_max) {
    return core_->task->step(
        {.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->of.store.info().block.bytes)});
}

ashlar::progress volume_size::cancel() {
    core_->task->cancel();
    return core_->task->step();
}

/// Busy and pinned are no more than that something stayed: the obstacles say what, and why.
shrunk_facts volume_size::shrunk() const {
    const auto&  done = core_->task->last_result();
    shrunk_facts facts{.after = done.after.value, .moved = done.moved.value, .given_back = done.given_back.value};
    if (done.failure.code == errc::none) return facts;
    facts.why = core_->of.failed(done.shrank() ? "the volume is smaller, but its file is as long as before"
                                               : "what lies behind the new end does not all move",
                                 done.failure);
    if (done.shrank()) return facts;
    facts.obstacles      = facts_of(core_->task->obstacles());
    facts.obstacle_count = done.obstacles;
    if (done.failure.code == errc::busy || done.failure.code == errc::pinned) {
        facts.why->code = exit_code::failed;
        facts.why->what = "what lies behind the new end does not all move";
        facts.why->fix =
            "name a larger size with --to, or make room: 'ashlar compact' and 'ashlar defrag-start' join "
            "free runs";
    }
    return facts;
}

}  // namespace cli
